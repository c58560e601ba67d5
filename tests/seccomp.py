"""Refuses system calls to this process and all it starts, as containers do; nothing is allowed
back.

A test helper: the filter cannot be taken off again, so it is put on in a child process.
"""

from __future__ import annotations

import ctypes
import platform
import struct
from collections.abc import Sequence

__all__ = ["NUMBERS", "Refusal", "refuse"]

_X86 = {
    "mincore": 27,
    "madvise": 28,
    "socketpair": 53,
    "clone": 56,
    "fork": 57,
    "execve": 59,
    "flock": 73,
    "prctl": 157,
    "sched_getaffinity": 204,
    "fadvise64": 221,
    "openat": 257,
    "linkat": 265,
    "sync_file_range": 277,
    "fallocate": 285,
    "renameat2": 316,
    "memfd_create": 319,
    "statx": 332,
    "pidfd_send_signal": 424,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "cachestat": 451,
}
_ARM = {
    "flock": 32,
    "linkat": 37,
    "fallocate": 47,
    "openat": 56,
    "sync_file_range": 84,
    "sched_getaffinity": 123,
    "prctl": 167,
    "socketpair": 199,
    "clone": 220,
    "execve": 221,
    "fadvise64": 223,
    "mincore": 232,
    "madvise": 233,
    "renameat2": 276,
    "memfd_create": 279,
    "statx": 291,
    "pidfd_send_signal": 424,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "cachestat": 451,
}
NUMBERS: dict[str, int] = {"x86_64": _X86, "aarch64": _ARM}.get(platform.machine(), {})
"""Numbers of the calls that can be refused here; empty on other processors."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _EQUAL, _BITS, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARGUMENTS = 0, 16

Refusal = tuple[str, int] | tuple[str, int, int, int] | tuple[str, int, int, int, str]
"""Call and errno; optionally the number of an argument, its value, and "bits" for a mask of it."""


def refuse(refusals: Sequence[Refusal]) -> None:
    """Let some system calls fail from now on, here and in all processes started from here.

    Parameters
    ----------
    refusals : sequence of tuple
        ``("cachestat", errno.ENOSYS)``, ``("madvise", errno.EINVAL, 2, 22)`` where argument 2
        is 22, or ``("openat", errno.EOPNOTSUPP, 2, 0o20000000, "bits")`` where it has all bits.

    Raises
    ------
    OSError
        The system takes no filter.
    """
    program = [_step(_LOAD, _NUMBER)]
    for name, code, *argument in refusals:
        refused = _step(_RETURN, _ERRNO | code)
        if not argument:
            program += [_step(_EQUAL, NUMBERS[name], 0, 1), refused]
            continue
        where, value, *how = argument
        test = _BITS if how else _EQUAL
        program += [
            _step(_EQUAL, NUMBERS[name], 0, 4),
            _step(_LOAD, _ARGUMENTS + 8 * where),
            _step(test, value, 0, 1),
            refused,
            _step(_LOAD, _NUMBER),
        ]
    program.append(_step(_RETURN, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))
    header = ctypes.create_string_buffer(
        struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    )
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    if prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")


def _step(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, jump_true, jump_false, value)
