"""The system calls behind mapped files, by ctypes; this module holds no policy and no state.

The calls go through ``ctypes`` because it lets go of the interpreter lock while they
run: a thread that populates the next window must not stop the kernel that works on the
present one.  (``mmap.madvise`` and ``mmap.flush`` may keep it.)

Where a call is missing (another system, an old kernel, a seccomp filter) the wrappers
for *hints* return False, and those for *facts* return None: the run goes on with the
same results.  Calls that must work raise OSError.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
import sys
from typing import Any

__all__ = [
    "DONTNEED",
    "HUGEPAGE",
    "NOHUGEPAGE",
    "PAGE",
    "POPULATE_READ",
    "POPULATE_WRITE",
    "RANDOM",
    "SEQUENTIAL",
    "advise",
    "born",
    "cache_counts",
    "cached_bytes",
    "die_with_parent",
    "drop_cached",
    "fallocate",
    "map_file",
    "map_nothing",
    "populate",
    "resident",
    "start_writing",
    "unmap",
    "wait_written",
    "will_need",
    "write_back",
]

PAGE = mmap.PAGESIZE

# From <sys/mman.h> and <linux/fs.h>: the values are part of the kernel's interface.
RANDOM = 1
SEQUENTIAL = 2
DONTNEED = 4
HUGEPAGE = 14
NOHUGEPAGE = 15
POPULATE_READ = 22
POPULATE_WRITE = 23
_PROT_NONE, _PROT_READ, _PROT_WRITE = 0, 1, 2
_MAP_SHARED, _MAP_PRIVATE, _MAP_FIXED, _MAP_ANONYMOUS, _MAP_NORESERVE = 1, 2, 0x10, 0x20, 0x4000
_SYNC_WAIT_BEFORE, _SYNC_WRITE, _SYNC_WAIT_AFTER = 1, 2, 4
_SYS_CACHESTAT = 451  # the same on every architecture, since Linux 6.5
_PR_SET_PDEATHSIG = 1
_AT_FDCWD, _AT_EMPTY_PATH, _STATX_BTIME = -100, 0x1000, 0x800

_linux = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)
_long, _ptr, _size, _int = ctypes.c_long, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


def _declare(name: str, result: type, *arguments: type) -> Any:
    try:
        function = getattr(_libc, name)
    except AttributeError:
        return None
    function.restype, function.argtypes = result, arguments
    return function


# Python is built for 64-bit file offsets: off_t is c_int64 in every call below.
_mmap = _declare("mmap", _ptr, _ptr, _size, _int, _int, _int, ctypes.c_int64)
_munmap = _declare("munmap", _int, _ptr, _size)
_madvise = _declare("madvise", _int, _ptr, _size, _int)
_mincore = _declare("mincore", _int, _ptr, _size, ctypes.c_char_p)
_fallocate = _declare("fallocate", _int, _int, _int, ctypes.c_int64, ctypes.c_int64)
_sync_file_range = _declare(
    "sync_file_range", _int, _int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint
)
_syscall = _declare("syscall", _long)
_prctl = _declare("prctl", _int)
_statx = _declare("statx", _int, _int, ctypes.c_char_p, _int, ctypes.c_uint, _ptr)


class _Range(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _CacheStat(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in ("cached", "dirty", "writeback", "evicted", "recently_evicted")
    )


def _raise(call: str, path: str | None = None) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{call}: {os.strerror(number)}", path)


def map_nothing(length: int) -> int:
    """Reserve `length` bytes of addresses that nobody may touch; return where they begin."""
    address = _mmap(None, length, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        _raise("mmap")
    return int(address)


def map_file(fd: int, offset: int, length: int, writable: bool, at: int) -> None:
    """Map `length` bytes of a file from page-aligned `offset` over the reserved address `at`."""
    protection = _PROT_READ | (_PROT_WRITE if writable else 0)
    address = _mmap(at, length, protection, _MAP_SHARED | _MAP_FIXED, fd, offset)
    if address in (None, ctypes.c_void_p(-1).value):
        _raise("mmap")


def unmap(address: int, length: int) -> None:
    """Give the addresses back; whoever still looks at them is killed by SIGSEGV."""
    if _munmap(address, length) != 0:
        _raise("munmap")


def advise(address: int, length: int, advice: int) -> bool:
    """Give the kernel a hint on mapped pages; False where it does not know the hint."""
    return bool(_linux and _madvise(address, length, advice) == 0)


def populate(address: int, length: int, write: bool) -> bool:
    """Bring mapped pages in, as a load (or a store, if `write`) of each would.

    Returns False where the kernel has no such call (before Linux 5.14).

    Raises
    ------
    OSError
        EFAULT where a load or store would be SIGBUS: the file is shorter than the
        mapping, its disk fails, or there is no room for the page.
    """
    if not _linux:
        return False
    while _madvise(address, length, POPULATE_WRITE if write else POPULATE_READ) != 0:
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
            return False
        if number not in (errno.EINTR, errno.EAGAIN):
            _raise("madvise")
    return True


def fallocate(fd: int, offset: int, length: int, keep_size: bool = False) -> None:
    """Reserve disk blocks for a range; where there were none, it then reads as zeros.

    With `keep_size` the file does not grow, wherever the range ends.

    glibc's ``posix_fallocate`` writes a byte into each block where the file system lacks
    the call; this one raises EOPNOTSUPP, so that the caller decides.

    Raises
    ------
    OSError
        ENOSPC, EFBIG, EDQUOT: no room. EOPNOTSUPP, ENOSYS: the file system cannot.
    """
    if _fallocate is None:
        raise OSError(errno.ENOSYS, "fallocate: not on this system")
    while _fallocate(fd, int(keep_size), offset, length) != 0:
        if ctypes.get_errno() != errno.EINTR:
            _raise("fallocate")


def start_writing(fd: int, offset: int, length: int) -> bool:
    """Ask the kernel to begin writing dirty pages of a range; do not wait, promise nothing."""
    if _sync_file_range is None:
        return False
    return bool(_sync_file_range(fd, offset, length, _SYNC_WRITE) == 0)


def wait_written(fd: int, offset: int, length: int) -> bool:
    """Wait until the dirty pages of a range have been handed to the disk.

    It paces a run; it makes nothing durable (that is ``os.fdatasync``).

    Raises
    ------
    OSError
        EIO, ENOSPC: pages could not be written, and are lost.
    """
    if _sync_file_range is None:
        return False
    flags = _SYNC_WAIT_BEFORE | _SYNC_WRITE | _SYNC_WAIT_AFTER
    if _sync_file_range(fd, offset, length, flags) != 0:
        if ctypes.get_errno() in (errno.EINVAL, errno.ENOSYS, errno.ESPIPE, errno.EPERM):
            return False
        _raise("sync_file_range")
    return True


def write_back(fd: int) -> None:
    """Have what is dirty of a file on the disk; a file system that is never written has nothing.

    Raises
    ------
    OSError
        The disk refused.
    """
    try:
        os.fdatasync(fd)
    except OSError as error:
        # As squashfs and iso9660 answer.
        if error.errno not in (errno.EINVAL, errno.EROFS):
            raise


def drop_cached(fd: int, offset: int, length: int) -> bool:
    """Let go of clean, unmapped cached pages of a range."""
    if not hasattr(os, "posix_fadvise"):
        return False
    try:
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)
    except OSError:
        return False
    return True


def will_need(fd: int, offset: int, length: int) -> bool:
    """Ask the kernel to begin reading a range into the page cache; do not wait."""
    if not hasattr(os, "posix_fadvise"):
        return False
    try:
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_WILLNEED)
    except OSError:
        return False
    return True


def cached_bytes(fd: int, offset: int, length: int) -> int | None:
    """Count the bytes of a range that are in the page cache now; None where it cannot be told."""
    found = cache_counts(fd, offset, length)
    return None if found is None else found[0] * PAGE


def cache_counts(fd: int, offset: int, length: int) -> tuple[int, int, int, int, int] | None:
    """Count the pages of a range in the page cache (Linux 6.5); None where it cannot be told.

    Returns
    -------
    tuple of int, or None
        Pages that are cached, dirty, being written, evicted, and evicted lately.
    """
    if not _linux or _syscall is None:
        return None
    where, stat = _Range(offset, length), _CacheStat()
    result = _syscall(
        _long(_SYS_CACHESTAT), _int(fd), ctypes.byref(where), ctypes.byref(stat), ctypes.c_uint(0)
    )
    if result != 0:
        return None
    return stat.cached, stat.dirty, stat.writeback, stat.evicted, stat.recently_evicted


def resident(address: int, length: int) -> bytes | None:
    """Tell of each page of a mapping, by bit 0 of a byte, whether it is in the page cache.

    None where it cannot be told. Of a file that this process neither owns nor may write the
    kernel says 1 for every page, so that nobody learns what others read.
    """
    if not _linux or _mincore is None:
        return None
    found = ctypes.create_string_buffer(-(-length // PAGE))
    return found.raw if _mincore(address, length, found) == 0 else None


def born(source: int | str) -> int:
    """When a file was made, in nanoseconds; 0 where that is not known.

    A number of an inode is given to a new file soon after the old one is gone: with this
    time the two can be told apart.

    Parameters
    ----------
    source : int or str
        An open descriptor, or a path.
    """
    if not _linux or _statx is None:
        return 0
    at, path = (source, b"") if isinstance(source, int) else (_AT_FDCWD, os.fsencode(source))
    found = ctypes.create_string_buffer(256)
    if _statx(at, path, _AT_EMPTY_PATH, _STATX_BTIME, found) != 0:
        return 0
    mask, seconds, nanoseconds = struct.unpack_from("=I76xqI", found)
    return int(seconds * 10**9 + nanoseconds) if mask & _STATX_BTIME else 0


def die_with_parent(signal: int) -> bool:
    """Ask to get `signal` when the thread that forked this process ends."""
    return bool(
        _linux
        and _prctl is not None
        and _prctl(_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal), _long(0), _long(0), _long(0))
        == 0
    )
