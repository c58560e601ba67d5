"""Moves what is replaced out of the way, and back if it is not after all; it removes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["set_aside"]


@contextmanager
def set_aside(path: str, old: str) -> Iterator[None]:
    """Have what is at a path under another name, while something else gets the path.

    Parameters
    ----------
    path : str
    old : str
        The other name; "": nothing is there.

    Examples
    --------
    >>> with set_aside("/nowhere", ""):
    ...     pass
    """
    if old:
        os.rename(path, old)
    try:
        yield
    except BaseException:
        # Ctrl-C may come behind the renaming, too: then the new one is there.
        if old and not os.path.lexists(path):
            os.rename(old, path)
        raise
