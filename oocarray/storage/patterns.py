"""Which files a pattern names, in the order that people mean; opens none of them."""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Iterable
from typing import Any

from oocarray.storage.files import PathLike

__all__ = ["is_pattern", "named_files", "natural"]


def is_pattern(path: PathLike) -> bool:
    """Tell whether a path names files by a pattern: not if there is a file of that very name.

    Examples
    --------
    >>> is_pattern("data/*.npy"), is_pattern("data/x.npy")
    (True, False)
    """
    return glob.has_magic(os.fspath(path)) and not os.path.lexists(path)


def named_files(paths: PathLike | Iterable[PathLike]) -> list[str]:
    """Return the paths in their order; those that a pattern stands for in natural order.

    Raises
    ------
    FileNotFoundError
        Nothing matches the pattern.
    """
    if not isinstance(paths, str | os.PathLike):
        return [os.fspath(path) for path in paths]
    if not is_pattern(paths):
        return [os.fspath(paths)]
    pattern = os.fspath(paths)
    found = glob.glob(pattern, recursive=True)
    if "**" in pattern:
        # It stands for the folders on the way as well.
        found = [path for path in found if not os.path.isdir(path)]
    if not found:
        raise FileNotFoundError(errno.ENOENT, "no file matches the pattern", pattern)
    return sorted(set(found), key=natural)


def natural(path: str) -> tuple[Any, ...]:
    """Return a key that sorts paths as people do: folder by folder, numbers by their value.

    Examples
    --------
    >>> sorted(["day10", "day2", "a/1", "day02"], key=natural)
    ['a/1', 'day02', 'day2', 'day10']
    """
    folders = []
    for part in path.split(os.sep):
        words = re.split("([0-9]+)", part)  # every second one is a number
        folders.append(tuple(int(word) if n % 2 else word for n, word in enumerate(words)))
    return tuple(folders), path
