"""What is known of a client and its workers before a run; it submits no task and closes nothing.

Any object will do that behaves as ``distributed.Client``: nothing of dask is imported, here or
in the workers' part.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import jit
from ...errors import WorkerDiedError
from ...units import format_count
from ..limits import room

__all__ = ["Cluster", "check_client", "describe", "home", "look_at", "processor", "report"]

_NEEDED = ("submit", "scatter", "run", "nthreads", "scheduler_info", "cancel")
_PATIENCE = 30.0
"""Seconds that the first worker may take to come."""
_TRIES = 5
_SHARE_OF_LIMIT = 2
"""Of what a dask worker may hold: beyond 0.8 it pauses, and mapped pages count as held."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The workers of a client, as they are when a run begins."""

    workers: int
    threads: int
    share: int
    """Bytes that the run may hold in each worker."""
    same_processor: bool
    """Whether code that is compiled here runs there."""

    @property
    def memory(self) -> int:
        """Bytes that the run may hold in all of them."""
        return self.share * self.workers


def check_client(client: Any) -> None:
    """Refuse what is no scheduler.

    Raises
    ------
    TypeError, ValueError
        Names what is accepted.
    """
    accepted = '"processes", "threads", "serial" or a client of dask.distributed'
    if isinstance(client, str):
        raise ValueError(f"scheduler={client!r}: it is {accepted}")
    lacking = [name for name in _NEEDED if not callable(getattr(client, name, None))]
    if lacking:
        raise TypeError(
            f"scheduler= is {accepted}; {type(client).__name__} has no "
            f"{', '.join(f'{name}()' for name in lacking)}"
        )
    if getattr(client, "status", "") == "closed":
        raise ValueError("scheduler= is a client that was closed; give one that is open")
    if getattr(client, "asynchronous", False):
        raise TypeError(
            "scheduler= is a client with asynchronous=True, whose answers would have to be "
            f"awaited; give one without; it is {accepted}"
        )


def look_at(client: Any, memory: int | None, kernels: bool) -> Cluster:
    """Ask the workers who they are, and decide what each may hold.

    Parameters
    ----------
    client : distributed.Client
    memory : int or None
        Bytes for all of them; None: half of what each of their machines has room for.
    kernels : bool
        Whether compiled code will run: their processors are then compared.

    Raises
    ------
    WorkerDiedError
        There is no worker.
    RuntimeError
        Their versions are not ours, or oocarray is not there.
    """
    threads = _threads(client)
    reports = _reports(client, kernels)
    mine = report(kernels)
    _compare(mine, reports)
    shares = [_share(address, reports, memory, len(threads)) for address in reports]
    limits = _memory_limits(client)
    shares += [limit // _SHARE_OF_LIMIT for limit in limits if limit]
    return Cluster(
        len(threads),
        sum(threads.values()),
        max(min(shares), 1),
        all(found["processor"] == mine["processor"] for found in reports.values()),
    )


def _threads(client: Any) -> Mapping[str, int]:
    """Threads by worker; a cluster that adapts starts workers for tasks, and for nothing else."""
    threads: Mapping[str, int] = client.nthreads()
    if not threads:
        asked = client.submit(int, pure=False)
        end = time.monotonic() + _PATIENCE
        while not threads and time.monotonic() < end:
            time.sleep(0.1)
            threads = client.nthreads()
        client.cancel([asked])
    if not threads:
        raise WorkerDiedError(
            f"the client has had no workers for {_PATIENCE:g} s; wait for them, or start some"
        )
    return threads


def _reports(client: Any, kernels: bool) -> dict[str, dict[str, Any]]:
    """What each worker says; one that ends meanwhile says nothing, and its successor may."""
    for _ in range(_TRIES):
        answers: Mapping[str, Any] = client.run(report, kernels, on_error="return")
        found = {address: one for address, one in answers.items() if isinstance(one, dict)}
        for address, error in answers.items():
            if isinstance(error, ImportError):
                raise RuntimeError(
                    f"worker {address} cannot import oocarray ({error}); install there what is "
                    f"here: {report(False)['versions']}"
                ) from error
            if isinstance(error, Exception) and not isinstance(error, OSError):
                raise error
        if found:
            return found
        time.sleep(0.5)
    raise WorkerDiedError("no worker of the client answers; look at their logs")


def report(kernels: bool) -> dict[str, Any]:
    """Say who this process is; called in the workers, and here to compare."""
    return {
        "versions": {
            "oocarray": sys.modules[__name__.partition(".")[0]].__version__,
            "numpy": np.__version__,
            "python": ".".join(map(str, sys.version_info[:2])),
        },
        # Settings of the compiler are part of it: what was made under others is other code.
        "processor": processor() if kernels else "",
        "home": home(),
        "room": room(),
    }


def processor() -> str:
    """Name what compiled code of this process runs on."""
    return jit._target()


def home() -> tuple[str, str]:
    """Name this machine, for as long as it runs: its devices have the same numbers till then."""
    boot = ""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as stream:
        boot = stream.read().strip()
    return boot, "" if boot else socket.gethostname()


def _compare(mine: dict[str, Any], reports: Mapping[str, dict[str, Any]]) -> None:
    for address, found in reports.items():
        other = [
            f"{name} {version} (here {mine['versions'][name]})"
            for name, version in found["versions"].items()
            if version != mine["versions"][name]
        ]
        if other:
            raise RuntimeError(
                f"worker {address} has {', '.join(other)}; tasks and functions travel as they are, "
                "so install the same versions everywhere"
            )


def _share(
    address: str, reports: Mapping[str, dict[str, Any]], memory: int | None, workers: int
) -> int:
    if memory is not None:
        return memory // workers
    beside = Counter(found["home"] for found in reports.values())
    return int(reports[address]["room"]) // 2 // beside[reports[address]["home"]]


def _memory_limits(client: Any) -> list[int]:
    """What dask lets each worker hold; of some versions the first few are told unless asked."""
    try:
        info = client.scheduler_info(n_workers=-1)
    except TypeError:
        info = client.scheduler_info()
    return [int(one.get("memory_limit") or 0) for one in info.get("workers", {}).values()]


def describe(cluster: Cluster) -> str:
    """Say in a few words who works."""
    workers = format_count(cluster.workers, "dask worker")
    return f"{workers} with {format_count(cluster.threads, 'thread')}"
