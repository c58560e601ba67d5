"""Compiled kernels in a private folder, by key; it never compiles and never complains.

A cache that cannot be read or written is no cache: every failure here means that the caller
compiles again.  The entries are unpickled later, so the folder must belong to this user alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile

__all__ = ["cache_folder", "cache_path", "read_entry", "write_entry"]

_MAGIC = b"oocarray kernel 1\n"


def cache_folder() -> str | None:
    """Return the folder of compiled kernels, or None when there is none to use.

    ``$OOCARRAY_CACHE`` (set but empty: no folder), else ``$XDG_CACHE_HOME/oocarray``, else
    ``~/.cache/oocarray``.  It is made when missing, readable by this user only; one that belongs
    to somebody else, or that others may write to, is not used.

    Examples
    --------
    >>> folder = cache_folder()
    >>> folder is None or os.path.isabs(folder)
    True
    """
    chosen = cache_path()
    if chosen is None:
        return None
    try:
        os.makedirs(chosen, mode=0o700, exist_ok=True)
        found = os.stat(chosen)
    except OSError:
        return None
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    return chosen


def cache_path() -> str | None:
    """Where `cache_folder` is, or would be made; None when there is no place for it."""
    chosen = os.environ.get("OOCARRAY_CACHE")
    if chosen is None:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # the XDG rule for relative ones is to ignore them
            base = os.path.expanduser("~/.cache")
        chosen = os.path.join(base, "oocarray")
        if not os.path.isabs(chosen):
            return None  # no home
    return os.path.abspath(chosen) if chosen else None


def read_entry(key: str) -> bytes | None:
    """Return the bytes kept under `key`, or None when there are none or they are damaged.

    Examples
    --------
    >>> read_entry("no such key") is None
    True
    """
    folder = cache_folder()
    if folder is None:
        return None
    try:
        fd = os.open(os.path.join(folder, key), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(fd, "rb") as file:
            if os.fstat(fd).st_uid != os.geteuid():
                return None
            data = file.read()
    except OSError:
        return None
    start = len(_MAGIC) + 32
    payload = data[start:]
    intact = data[:start] == _MAGIC + hashlib.sha256(payload).digest()
    return payload if intact else None


def write_entry(key: str, payload: bytes) -> None:
    """Keep `payload` under `key`: written beside, then renamed, so readers see all or nothing.

    Examples
    --------
    >>> from unittest import mock
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with mock.patch.dict(os.environ, OOCARRAY_CACHE=folder):
    ...         write_entry("key", b"machine code")
    ...         read_entry("key")
    b'machine code'
    """
    folder = cache_folder()
    if folder is None:
        return
    draft = None
    try:
        fd, draft = tempfile.mkstemp(prefix=".draft-", dir=folder)
        with open(fd, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(payload).digest() + payload)
        os.replace(draft, os.path.join(folder, key))
    except OSError:
        if draft is not None:
            with contextlib.suppress(OSError):
                os.unlink(draft)
