"""Functions that make arrays of what others hold; what is in a file or in memory is not copied."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Array
from ..opening import from_array

__all__ = ["array", "asanyarray", "asarray", "ascontiguousarray", "from_dlpack"]


def asarray(
    obj: Any,
    /,
    dtype: Any = None,
    *,
    device: str | None = None,
    copy: bool | None = None,
    chunks: Any = None,
) -> Array:
    """An array of anything that is one, or that NumPy makes one of.

    Parameters
    ----------
    obj : Array, ndarray, memmap, scalar, nested sequence, or object with ``__array__`` or DLPack
    dtype : dtype-like, optional
        Converted lazily where it differs.
    device : {"cpu"}, optional
    copy : bool, optional
        True: what is written to the original later does not show; the copy is in memory.
        False: refuse what would need one.
    chunks : optional
        Blocks to work on.

    Examples
    --------
    >>> asarray([1, 2, 3]).compute()
    array([1, 2, 3])
    """
    if device not in (None, "cpu"):
        raise ValueError(f"device={device!r}; arrays are on the 'cpu' only")
    if isinstance(obj, Array):
        made = obj.copy() if copy else obj
    elif isinstance(obj, (list, tuple)) and any(isinstance(one, Array) for one in obj):
        from .joining import stack

        if copy is False:
            raise ValueError("a list of arrays becomes one only by a copy; copy=False")
        made = stack([asarray(one) for one in obj])
    else:
        made = from_array(_given(obj, dtype, copy))
    if dtype is not None and made.dtype != np.dtype(dtype):
        if copy is False:
            raise ValueError("another dtype needs a copy")
        made = made.astype(dtype)
    return made if chunks is None else made.rechunk(chunks)


def asanyarray(obj: Any, dtype: Any = None) -> Array:
    """As `asarray`; there are no subclasses.

    Examples
    --------
    >>> asanyarray([1, 2]).shape
    (2,)
    """
    return asarray(obj, dtype)


def ascontiguousarray(obj: Any, dtype: Any = None) -> Array:
    """As `asarray`, with one axis at least: blocks are as contiguous as they need to be.

    Examples
    --------
    >>> ascontiguousarray(5).shape
    (1,)
    """
    from .spreading import atleast_1d

    found: Array = atleast_1d(asarray(obj, dtype))
    return found


def array(
    obj: Any, dtype: Any = None, *, copy: bool | None = True, ndmin: int = 0, chunks: Any = None
) -> Array:
    """An array of its own, as `asarray` with ``copy=True``: in memory, but for expressions.

    Raises
    ------
    BudgetError
        A file that does not fit in memory; ``copy=None`` copies nothing.

    Examples
    --------
    >>> array([1, 2], ndmin=2).shape
    (1, 2)
    """
    made = asarray(obj, dtype, copy=copy, chunks=chunks)
    if made.ndim < ndmin:
        from .manipulation import expand_dims

        made = expand_dims(made, tuple(range(ndmin - made.ndim)))
    return made


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Array:
    """An array of another library that is in memory, without a copy.

    Examples
    --------
    >>> import numpy as np
    >>> from_dlpack(np.arange(3)).compute()
    array([0, 1, 2])
    """
    if device not in (None, "cpu"):
        raise ValueError(f"device={device!r}; arrays are on the 'cpu' only")
    found = np.from_dlpack(x)
    return from_array(np.array(found) if copy else found)


def _given(obj: Any, dtype: Any, copy: bool | None) -> np.ndarray[Any, Any]:
    """As NumPy makes an array of it; an array's own dtype is kept, to be converted lazily."""
    arrays = ("__array__", "__array_interface__", "__array_struct__")
    if any(hasattr(obj, name) for name in arrays):
        # A memmap stays one: it is a file.
        same = isinstance(obj, np.ndarray) and not copy
        found = obj if same else np.array(obj, copy=copy)
    elif hasattr(obj, "__dlpack__"):
        found = np.from_dlpack(obj)
        found = np.array(found) if copy else found
    else:
        found = np.array(obj, dtype, copy=copy)
    return found
