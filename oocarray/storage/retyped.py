"""The layout of an array whose bytes are read as another dtype; NumPy decides what is possible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from oocarray.storage.dtypes import plain_dtype
from oocarray.storage.layout import Strided

__all__ = ["retyped"]


def retyped(layout: Strided, dtype: Any) -> Strided:
    """Return the layout that ``ndarray.view(dtype)`` would give.

    Parameters
    ----------
    layout : Strided
    dtype : dtype-like
        Of another size only if the last axis is contiguous, which then becomes longer or shorter.

    Raises
    ------
    DtypeError
        A dtype that cannot lie in a file.
    ValueError
        The sizes do not fit, as NumPy says it.

    Examples
    --------
    >>> from oocarray.storage.layout import FileKey
    >>> x = Strided(FileKey("/x", 1, 2, 96, 0), 0, (3, 4), np.dtype("f8"), (32, 8))
    >>> retyped(x, "u1").shape, retyped(x, "c16").strides
    ((3, 32), (32, 16))
    """
    wanted = plain_dtype(dtype)
    # Never looked at: only its shape and strides count.
    stand_in = as_strided(np.empty(1, layout.dtype), layout.shape, layout.strides)
    try:
        view = stand_in.view(wanted)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{layout.file.path}: shape {layout.shape} of {layout.dtype} cannot be seen as "
            f"{wanted}: {error}"
        ) from None
    return replace(layout, dtype=wanted, shape=view.shape, strides=view.strides)
