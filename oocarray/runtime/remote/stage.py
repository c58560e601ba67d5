"""One stage of a plan on a client's workers: sends it, takes in what comes; it decides no order."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ...errors import BudgetError
from ...estimate import stage_bytes
from ...grid import Coords
from ...leaves import PartialTree
from ...pages import calls
from ...pages.residency import Residency
from ...plan import Advanced, Began, Blocks, Ended, Event, InMemory, Partials, Plan, Stage
from ...storage.layout import FileKey, Strided
from ...storage.tiled import Tiled
from ...storage.zarrtable import ZarrTable
from ...units import format_at_least, format_bytes
from ..limits import Limits
from ..runfiles import RunFiles
from .carried import Carried, pack_stage
from .cluster import Cluster, processor
from .handing import Handing
from .job import Files, files_of, job_of
from .ranges import Ranges, ranges
from .work import Done, same

__all__ = ["StageOfRun"]

log = logging.getLogger("oocarray")

Array = np.ndarray[Any, Any]

_SCATTERED = 1 << 20
"""Bytes beyond which a stage is sent to all workers, rather than kept by the scheduler, which
can send it again when a worker is lost."""


_AHEAD = 16 << 20
"""Bytes that the kernel may have read beyond what it was asked for."""


class Run(Protocol):
    """What a stage needs to know of the run that it is part of."""

    plan: Plan
    limits: Limits
    client: Any
    cluster: Cluster
    drafts: Mapping[tuple[int, int], tuple[int, str]]
    folders: frozenset[str]
    compile: Callable[[Plan], Plan] | None
    name: str
    residency: Residency
    results: dict[tuple[int, int], Array]
    flags: set[str]
    files: RunFiles

    def tell(self, event: Event) -> None:
        """Tell the observers."""

    def address(self, array: Array) -> Strided | Array:
        """Where workers find an array."""


class StageOfRun:
    """One stage on its way."""

    def __init__(self, run: Run, number: int, stage: Stage) -> None:
        self.run_, self.number, self.stage = run, number, stage
        self.limits, self.cluster = run.limits, run.cluster
        self.trees = {
            index: PartialTree(write.reduction, write.leaves)
            for index, write in enumerate(stage.writes)
            if isinstance(write, Partials)
        }
        self.kernel_seconds = 0.0
        self.nbytes = sum(stage_bytes(stage))
        self.failed: dict[Coords, str] = {}
        self.began = time.perf_counter()

    def run(self) -> dict[Coords, str]:
        """Do all of it; return what failed and was gone on without."""
        tasks, blob = self._prepared()
        ok = False
        try:
            self._tell_began()
            if self.stage.grid.size:
                Handing(
                    self.run_.client,
                    self.run_.name,
                    self.number,
                    self.stage,
                    tasks,
                    blob,
                    self.limits.stop,
                ).go(self._take, self._idle)
            for number, tree in self.trees.items():
                finish = self.stage.writes[number].reduction.finish  # type: ignore[union-attr]
                self.run_.results[self.number, number] = finish(tree.result())
            ok = True
        finally:
            seconds = time.perf_counter() - self.began
            failed = tuple(sorted(self.failed.items()))
            self.run_.tell(Ended(self.number, seconds, ok, self.kernel_seconds, failed))
        return self.failed

    def _prepared(self) -> tuple[Ranges, Any]:
        """Cut the stage into tasks, and have the workers know it."""
        run, stage = self.run_, self.stage
        kernel = stage.kernel
        reductions = tuple(getattr(write, "reduction", None) for write in stage.writes)
        kernel = replace(kernel, reductions=reductions)
        files = files_of(stage)
        carried = Carried(
            job=job_of(
                stage,
                self.number,
                files,
                run.residency.policy,
                self.limits,
                self._fresh(),
                self._drops(files),
            ),
            arguments=[],
            drafts={
                key: run.drafts[key.dev, key.ino][1]
                for key, _ in files
                if (key.dev, key.ino) in run.drafts
            },
            compile=run.compile,
            # Ours may be relative, or empty for the folder we are in: theirs is another.
            path=tuple(os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)),
            processor=processor() if self.cluster.same_processor else "",
        )
        blob = pack_stage(carried, kernel, run.address, run.files.state)
        travels = sum(
            access.source.nbytes for access in stage.reads if isinstance(access.source, InMemory)
        ) + sum(one.nbytes for one in carried.arguments if not isinstance(one, Strided))
        travels *= 2  # as it came, and unpacked
        tasks = ranges(
            stage,
            self.cluster.share,
            self.cluster.workers,
            self.cluster.threads,
            self.limits.tuning.unit,
            travels,
        )
        if travels + tasks.least > self.cluster.share:
            raise BudgetError(
                f"{stage.label}: one block needs {format_bytes(tasks.least)}, and the arrays that "
                f"travel with the functions {format_bytes(travels)}; each of "
                f"{self.cluster.workers} workers may hold {format_bytes(self.cluster.share)}; give "
                f"at least {format_at_least((travels + tasks.least) * self.cluster.workers)} by "
                "oo.options(memory=...) and workers that may hold twice their share, or pass "
                "arrays as files (numpy.memmap)"
            )
        log.debug("stage %d %s: %s, %s", self.number, stage.label, tasks, run.residency.policy)
        return tasks, self._sent(blob)

    def _sent(self, blob: bytes) -> Any:
        """Have the stage where workers get it from, once, however many tasks there are."""
        client = self.run_.client
        if len(blob) > _SCATTERED:
            return client.scatter(blob, broadcast=True, hash=False)
        key = f"oocarray-stage-{self.run_.name}-{self.number}"
        return client.submit(same, blob, pure=False, key=key)

    def _fresh(self) -> tuple[int, ...]:
        """Numbers of the writes into what was zeros before."""
        targets = [
            write.target if isinstance(write, Blocks) else None for write in self.stage.writes
        ]
        return tuple(number for number, target in enumerate(targets) if self._is_new(target))

    def _is_new(self, target: Any) -> bool:
        if isinstance(target, Strided):
            return (target.file.dev, target.file.ino) in self.run_.drafts
        if isinstance(target, Tiled):
            table = target.table
            new = isinstance(table, ZarrTable) and table.array.folder in self.run_.folders
            return new and self.limits.on_error != "skip"
        return isinstance(target, InMemory)

    # ---- in the run ----------------------------------------------------------------------------

    def _take(self, done: Done) -> None:
        answer = done.answer
        for partial in answer.partials:
            self.trees[partial.write].set(partial.box, partial.value)
        for number, coords, block in done.blocks:
            write = self.stage.writes[number]
            assert isinstance(write, Blocks)
            assert isinstance(write.target, InMemory)
            write.target.array[write.grid.region(coords)] = block
        self.kernel_seconds += answer.seconds
        self.failed.update(answer.failed)
        self.run_.flags.update(answer.flags)
        share = self.nbytes * answer.task.count // self.stage.grid.size
        self.run_.tell(Advanced(self.number, answer.task.count, share))

    def _idle(self) -> None:
        self.run_.tell(Advanced(self.number, 0, 0))

    def _drops(self, files: Files) -> bool:
        """Whether tasks let go of the cached pages of what they have read and written.

        By default as by our own processes: where the files do not fit.  Here nobody remembers what
        was cached before, so that only of what is as good as not cached pages are dropped.
        """
        if self.limits.drop is not None or self.run_.residency.policy != "stream":
            return self.limits.drop is True
        return not any(self._cached(key) for key, written in files if not written)

    def _cached(self, key: FileKey) -> bool:
        found = calls.cached_bytes(self.run_.files.fd(key), 0, key.size)
        # To open it the header was read, and what the kernel reads ahead.
        return found is None or found > max(key.size >> 6, _AHEAD)

    def _tell_began(self) -> None:
        self.run_.tell(
            Began(
                stage=self.number,
                stages=len(self.run_.plan.stages),
                label=self.stage.label,
                items=self.stage.grid.size,
                nbytes=self.nbytes,
                budget=self.limits.memory,
                policy=self.run_.residency.policy,
            )
        )
