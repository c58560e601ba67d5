"""Runs the stages of a plan on the workers of a client; it touches no element itself.

Tasks are ranges of blocks and carry addresses: files are opened by name where a task runs, and
written there.  Back come partial results, which are set by leaf into the same tree as under any
scheduler, and the blocks that the caller wants in memory.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...estimate import resident_bytes
from ...pages.residency import choose_residency
from ...plan import (
    Access,
    Blocks,
    InMemory,
    Plan,
    Result,
    Scratch,
    Stage,
)
from ...storage.filekey import MEMORY
from ...storage.layout import Strided
from ...storage.memmaps import layout_of
from ...storage.tiled import Tiled
from ...validate import validate
from ..lenient import check_on_error
from ..limits import Limits
from ..runfiles import RunFiles
from ..stagerun import Observer
from ..telling import Telling
from .cluster import Cluster
from .handing import quiet
from .memory import in_memory
from .stage import StageOfRun
from .work import busy, release

__all__ = ["run_remote"]

log = logging.getLogger("oocarray")

Array = np.ndarray[Any, Any]

_GRACE_SECONDS = 5.0
"""How long running blocks may go on after a failure."""


def run_remote(
    plan: Plan,
    limits: Limits,
    client: Any,
    cluster: Cluster,
    drafts: Mapping[tuple[int, int], tuple[int, str]],
    observers: Sequence[Observer] = (),
    compile: Callable[[Plan], Plan] | None = None,
    folders: Collection[str] = (),
) -> list[Array]:
    """Run all stages of a plan.

    Parameters
    ----------
    plan : Plan
    limits : Limits
        For all workers together.
    client : distributed.Client
        It stays the caller's.
    cluster : Cluster
    drafts : mapping
        By device and inode of new files: our descriptor, and the path under which they are
        found until they have their names.
    observers : sequence of callable
    compile : callable, optional
        Compiles a plan in the workers, whose processors are not this one's.
    folders : collection of str
        Of Zarr arrays that are new.

    Returns
    -------
    list of numpy.ndarray
        One per entry of ``plan.outputs``.

    Raises
    ------
    PlanError, ValueError
        It cannot be run so; nothing has been.
    WorkerDiedError, BlockFailedError, InputChangedError, ArrayLockedError, OSError
    Exception
        Whatever a block function raised, with a note that names the block.
    """
    check_on_error(plan, limits.on_error, limits.fill_value)
    _refuse(plan, limits)
    validate(plan, budget=limits.memory)
    run = _Run(plan, limits, client, cluster, drafts, observers, compile, folders)
    try:
        for number in range(len(plan.stages)):
            run.run_stage(number)
        run.files.check()
        run.tell_rest()
        return [run.results[result.stage, result.write] for result in plan.outputs]
    finally:
        run.close()


def _refuse(plan: Plan, limits: Limits) -> None:
    for stage in plan.stages:
        if stage.in_place:
            raise ValueError(IN_PLACE.format(stage.label))
        for write in stage.writes:
            target = write.target if isinstance(write, Blocks) else None
            if isinstance(target, Strided | Tiled) and target.file.path == MEMORY:
                raise ValueError(
                    f"{stage.label}: the target lies in this machine's memory, which the workers "
                    'of a client do not see; store into a file, or use scheduler="processes"'
                )
            if isinstance(target, InMemory) and limits.on_error == "skip":
                raise ValueError(
                    f'{stage.label}: on_error="skip" with a client cannot leave blocks of an array '
                    'in memory as they are; store into a file, or use on_error="fill"'
                )


IN_PLACE = (
    "{}: an array cannot be updated in place with scheduler=client: a worker that is lost in the "
    "middle of a block leaves it half changed, and a task that is repeated elsewhere changes it "
    "twice; store() the result into a new file, or use scheduler='processes' on one machine"
)


class _Run(Telling):
    def __init__(
        self,
        plan: Plan,
        limits: Limits,
        client: Any,
        cluster: Cluster,
        drafts: Mapping[tuple[int, int], tuple[int, str]],
        observers: Sequence[Observer],
        compile: Callable[[Plan], Plan] | None,
        folders: Collection[str],
    ) -> None:
        super().__init__(limits, observers)
        self.plan, self.client, self.cluster = plan, client, cluster
        self.compile, self.drafts, self.folders = compile, drafts, frozenset(folders)
        self.name = secrets.token_hex(8)
        # Each worker may come across all of it, one range after the other.
        needed = resident_bytes(plan, limits.workers, True)
        self.residency = choose_residency(needed, cluster.share)
        self.results: dict[tuple[int, int], Array] = {}
        self._well = True
        self.files = RunFiles(plan, {name: fd for name, (fd, _) in drafts.items()}, limits.lock)

    def close(self) -> None:
        """Have the workers let go, and stop; the client stays open."""
        try:
            self._ask(release)
            if not self._well:
                # What still runs may make files in a folder that is about to be removed.
                quiet(lambda: sum(self._ask(busy)), _GRACE_SECONDS)
                self._ask(release)
        finally:
            self.files.close()

    def _ask(self, function: Callable[[str], Any]) -> list[int]:
        """Call a function in all workers; those that are gone have nothing to let go of."""
        with contextlib.suppress(Exception):
            found = self.client.run(function, self.name, on_error="ignore")
            return [one for one in found.values() if isinstance(one, int)]
        return []

    # ---- one stage ----------------------------------------------------------------------------

    def run_stage(self, number: int) -> None:
        """Run one stage to its end, or raise."""
        stage = self._laid_out(number, self.plan.stages[number])
        one = StageOfRun(self, number, stage)
        self._well = False
        failed = one.run()
        self._well = True
        if failed:
            self.missing.append((stage, failed))

    def _laid_out(self, number: int, stage: Stage) -> Stage:
        """Put arrays of this process where the stage reads or writes what is in no file."""
        reads = tuple(Access(self._source(access.source), access.how) for access in stage.reads)
        writes: list[Any] = []
        for write_number, write in enumerate(stage.writes):
            if isinstance(write, Scratch):
                array = np.zeros(write.shape, write.dtype)
                self.results[number, write_number] = array
                write = Blocks(InMemory(array), write.grid)
            writes.append(write)
        return replace(stage, reads=reads, writes=tuple(writes))

    def _source(self, source: Any) -> Any:
        if isinstance(source, Result):
            return InMemory(np.asarray(self.results[source.stage, source.write], order="C"))
        if isinstance(source, InMemory):
            mapped = self.address(source.array)
            return mapped if isinstance(mapped, Strided) else source
        if isinstance(source, Strided) and source.file.path == MEMORY:
            return InMemory(in_memory(source, self.files.fd(source.file)))
        return source

    def address(self, array: Array) -> Strided | Array:
        """Where workers find an array: in its file if it is mapped, else it travels."""
        mapped = layout_of(array) if array.size else None
        if mapped is None or mapped.file.path == MEMORY:
            return array
        self.files.fd(mapped.file)
        return mapped
