"""Puts blocks into an array in one file, from any thread or process; makes no file."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import InputChangedError
from ...plan import InMemory
from ...runtime.remote.carried import not_seen
from ...runtime.remote.placing import place
from ...storage.files import open_regular
from ...storage.layout import Strided

__all__ = ["FileWriter", "MemoryWriter"]


class MemoryWriter(InMemory):
    """An array in memory to assign blocks to: dask would take two of equal content for one."""

    __slots__ = ()

    def __setitem__(self, key: Any, block: Any) -> None:
        self.array[key] = block

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return type(self).__name__, id(self.array), uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class FileWriter:
    """What `da.store` assigns blocks to; they go to disjoint bytes, so none waits for another."""

    target: Strided
    path: str
    """Where the file is to be had: a draft has no name yet."""
    apart: bool = False
    """Other machines write the file, too: one that maps a page writes back all of it."""

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
        fd = self._open()
        try:
            if self.apart or part.contiguous:
                place(fd, part, np.asarray(block).astype(part.dtype, copy=False))
                return
            if np.asarray(block).base is not None:
                # It may be a view of a mapping of these very pages, which NumPy cannot see.
                block = np.array(block)
            start, stop = part.span()
            with open(fd, "r+b", closefd=False) as stream:
                mapped = np.memmap(stream, np.uint8, "r+", start, (stop - start,))
            part.view(np.asarray(mapped), start)[...] = block
        finally:
            os.close(fd)

    def _open(self) -> int:
        try:
            fd = open_regular(self.path, True)
        except FileNotFoundError:
            raise not_seen(self.path) from None
        now, file = os.fstat(fd), self.target.file
        # Each machine has its own number of a device.
        try:
            if now.st_ino != file.ino or now.st_size < file.size:
                raise InputChangedError(
                    f"{self.path} is not the file of {file.size} bytes to write to"
                )
            if not self.apart and self.path == file.path:
                file.check_open(fd)  # inode numbers are used again
        except BaseException:
            os.close(fd)
            raise
        return fd

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return self.path, self.target.offset, self.target.shape, self.target.strides
