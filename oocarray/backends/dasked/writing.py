"""Puts blocks into an array in one file, from any thread or process; makes no file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...storage.layout import Strided

__all__ = ["FileWriter"]


@dataclass(frozen=True, slots=True)
class FileWriter:
    """What `da.store` assigns blocks to; they go to disjoint bytes, so none waits for another."""

    target: Strided
    path: str
    """Where the file is to be had: a draft has no name yet."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.target.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.target.dtype

    def __setitem__(self, key: Any, block: Any) -> None:
        part = self.target.index(key)
        if 0 in part.shape:
            return
        fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            order = part.contiguous
            if order:
                block = np.asarray(block).astype(part.dtype, copy=False)
                _write(fd, np.ascontiguousarray(block.T if order == "F" else block), part.offset)
                return
            start, stop = part.span()
            with open(fd, "r+b", closefd=False) as stream:
                mapped = np.memmap(stream, np.uint8, "r+", start, (stop - start,))
            part.view(np.asarray(mapped), start)[...] = block
        finally:
            os.close(fd)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return self.path, self.target.offset, self.target.shape, self.target.strides


def _write(fd: int, block: np.ndarray[Any, Any], at: int) -> None:
    rest = memoryview(block.reshape(-1).view(np.uint8).data)
    while rest:
        done = os.pwrite(fd, rest, at)
        rest, at = rest[done:], at + done
