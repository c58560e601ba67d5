"""Makes single blocks of a node in this process, in any order; it keeps none and writes none."""

from __future__ import annotations

import os
import queue
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np

from ..estimate import distinct_bytes, item_cost
from ..grid import Grid
from ..lazy.expr import Node, ReduceNode
from ..lazy.graph import Root
from ..lazy.lower import lower
from ..pages.residency import FOLIO
from ..plan import Options, Plan, Task
from ..program import Program
from ..runtime.engine import Engine, Prepared
from ..runtime.files import Files, open_all
from ..runtime.flags import tell
from ..runtime.job import Job
from ..runtime.leaving import CacheBefore, Drop
from ..runtime.loop import add_place
from ..runtime.outside import outside
from ..runtime.runfiles import RunFiles
from ..runtime.stagefiles import StageFiles
from .codes import compile_plan
from .settling import with_reductions_done

__all__ = ["BlockMaker", "Made"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """A block whose pages are there."""

    block: Array
    """A view of mapped pages where nothing was computed; in any case not to be changed."""
    prepared: Prepared
    engine: Engine


class BlockMaker:
    """Single blocks of a node, by number.

    Parameters
    ----------
    node : Node
        Its dtypes are known.  Reductions inside it are computed at once, with `options`.
    options : Options
    memory : int, optional
        Where the arrays that are read do not fit it, their pages are let go of behind the blocks,
        from the page cache too; what was cached before is left as it was.
    threads : int
        How many may call `make` at the same time.
    """

    def __init__(
        self, node: Node, options: Options, *, memory: int | None = None, threads: int = 1
    ) -> None:
        plan = lower([Root(node)])
        if len(plan.stages) > 1 or isinstance(node, ReduceNode):
            plan = lower([Root(with_reductions_done(node, options))])
        stage = compile_plan(plan).stages[-1]
        assert isinstance(stage.kernel, Program)
        stage = replace(stage, writes=())
        self.cost = max(item_cost(stage).total, 1)
        """Bytes that a block takes while it is made, and afterwards."""
        self.stage = replace(stage, kernel=None)
        alone = Plan((self.stage,))
        self._stream = memory is None or distinct_bytes(alone) > memory
        drop = memory is not None and self._stream if options.drop is None else options.drop
        # Not locked: what comes block by block to a caller may come for days.
        self._opened = RunFiles(alone, {}, False)
        self._engines: list[Engine] = []
        self._idle: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        try:
            cache = CacheBefore((), None)
            when: Drop = "behind" if drop else "never"
            reach = self.cost + FOLIO
            self._files = StageFiles(self.stage, (), self._opened.fd, cache, False, when, reach)
            for _ in range(threads):
                self._engines.append(self._engine(stage.kernel))
                self._idle.put(self._engines[-1])
        except BaseException:
            self.close()
            raise

    @property
    def grid(self) -> Grid:
        return self.stage.grid

    def make(self, number: int) -> Made:
        """Make block `number`.

        Raises
        ------
        Exception
            What the function raised, with a note that names the block; OSError where the disk
            fails or the file is too short.
        """
        engine = self._idle.get()
        try:
            prepared = engine.prefetch(Task(0, number, 1))
            coords = self.grid.coords(number)
            try:
                if prepared.error is not None:
                    raise prepared.error
                made = Made(engine.value(coords), prepared, engine)
                for words in engine.fresh_flags():
                    tell(words, outside())
                return made
            except BaseException as error:
                if error is not prepared.error:
                    add_place(error, coords, self.grid)
                # The exception's frames hold views of the pages.
                engine.retire(prepared)
                raise
        finally:
            self._idle.put(engine)

    def release(self, made: Made) -> None:
        """Let go of the pages that a block was made of; where it is still looked at they return."""
        made.engine.retire(made.prepared)
        self._files.drop_behind(made.prepared.task)

    def close(self) -> None:
        """Let go of everything, drop what is left to drop; views of blocks stay valid."""
        for engine in self._engines:
            engine.close()
        if self._engines:
            self._files.let_go(failed=False)
        self._engines.clear()
        self._opened.close()

    def __enter__(self) -> BlockMaker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _engine(self, program: Program) -> Engine:
        keys = self._files.keys
        mine = open_all(os.dup, ((fd,) for fd in self._files.fds))
        fds = [(key, fd, writable) for (key, writable), fd in zip(keys, mine, strict=True)]
        policy: Any = "stream" if self._stream else "resident"
        job = Job(0, self.stage, None, keys, policy, errstate=np.geterr())
        engine = Engine(job, Files(fds))
        engine.bind(replace(program, codes=()))
        return engine
