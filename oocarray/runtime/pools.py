"""Keeps one warm pool of each kind for the runs to come; pools themselves are made elsewhere."""

from __future__ import annotations

import atexit
import errno
import logging
import os
import resource
import sys
import threading

from .pool import Pool, SerialPool, ThreadPool
from .processes import ProcessPool

__all__ = ["Lease", "close_pools"]

log = logging.getLogger("oocarray")

_warm: dict[str, Pool] = {}
_lock = threading.Lock()
_busy: set[int] = set()
_told_fallback = False
_FILES = 12
"""Files that are open in a process with a run, beside those of its workers and its data."""
_EXPLAINED = "a process"


class Lease:
    """A pool for one run, given back when the ``with`` block ends.

    The pool stays warm; a second run at the same time (from another thread) gets its own,
    which ends with it.

    Parameters
    ----------
    scheduler : {"processes", "threads", "serial"}
    workers : int
        As many as the run may have.
    kernels : bool
        Whether compiled kernels will be loaded: worker processes then share one numba.
    enough : int, optional
        As many as it has memory for: no more are started. A warm pool of any size between serves.
    """

    def __init__(
        self, scheduler: str, workers: int, kernels: bool = False, enough: int | None = None
    ) -> None:
        self._scheduler, self._workers, self._kernels = scheduler, workers, kernels
        self._enough = workers if enough is None else min(enough, workers)
        self.pool: Pool

    def __enter__(self) -> Pool:
        kind = self._scheduler
        with _lock:
            pool = _warm.get(kind)
            if pool is not None and id(pool) in _busy:
                pool = None
                self._keep = False
            else:
                self._keep = True
                if pool is not None:
                    fits = self._enough <= pool.size <= self._workers
                    if not (fits and pool.alive):
                        del _warm[kind]
                        pool.close()
                        pool = None
            if pool is None:
                try:
                    pool = _make(kind, self._enough)
                except OSError as error:
                    _explain(error, self._workers)
                    raise
                if self._keep:
                    _warm[kind] = pool
            _busy.add(id(pool))
        self.pool = pool
        try:
            if isinstance(pool, ProcessPool):
                pool.warm(self._kernels)
        except BaseException as error:
            self.__exit__(type(error), error)
            raise
        return pool

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None = None, *_: object
    ) -> None:
        if isinstance(error, OSError):
            _explain(error, self._workers)
        # After Ctrl-C nobody knows what was on its way to or from the workers.
        broken = kind is not None and not issubclass(kind, Exception)
        with _lock:
            _busy.discard(id(self.pool))
            if broken and _warm.get(self._scheduler) is self.pool:
                del _warm[self._scheduler]
        if broken or not self._keep:
            self.pool.close()


def _make(kind: str, workers: int) -> Pool:
    if kind == "serial":
        return SerialPool()
    if kind == "threads":
        return ThreadPool(workers)
    try:
        if not sys.executable:
            raise OSError("this interpreter does not know its own executable")
        return ProcessPool(workers)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        global _told_fallback
        if not _told_fallback:
            _told_fallback = True
            log.warning("worker processes cannot be started (%s): using threads", error)
        return ThreadPool(workers)


def _explain(error: OSError, workers: int) -> None:
    """Say of too many open files how many there may be, and how many a run takes."""
    if error.errno == errno.EMFILE and _EXPLAINED not in str(error.strerror):
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        error.strerror = (
            f"{error.strerror}: {_EXPLAINED} may have {most} (ulimit -n), a run with {workers} "
            f"workers takes about {_FILES + 3 * workers}, and some for each file (with threads, "
            "for each file in each worker); raise the limit, or use fewer workers="
        )


def close_pools() -> None:
    """End all warm workers; the next run starts new ones."""
    with _lock:
        pools = list(_warm.values())
        _warm.clear()
    for pool in pools:
        pool.close()


def _forget() -> None:
    """In a forked child: the pools are the parent's."""
    global _lock
    _warm.clear()
    _busy.clear()
    _lock = threading.Lock()


atexit.register(close_pools)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
