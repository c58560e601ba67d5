"""The records of a plan: what is to be done, on which bytes, in what order; it does none of it.

A plan is a tuple of stages.  A stage runs one kernel on every block of one grid, its
*items*, in C order; a task is a range of items.  What an item reads and writes follows
from its coordinates by the records below, so that planner, scheduler, workers and
observers need to agree on nothing else, and a million blocks cost no more to plan than
one.  ``validate`` (in `oocarray.validate`) refuses a plan before a byte moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .grid import Coords, Grid, Region
from .pages.tuning import Tuning
from .regions import Broadcast, Gather, Halo, How, Same, Through, Via, Whole, boxed
from .walks import some

__all__ = [
    "Access",
    "Advanced",
    "Began",
    "Blocks",
    "Broadcast",
    "Counted",
    "Ended",
    "Event",
    "Gather",
    "Halo",
    "How",
    "InMemory",
    "Options",
    "Partials",
    "Plan",
    "Result",
    "Same",
    "Scratch",
    "Source",
    "Stage",
    "Task",
    "Through",
    "Via",
    "Whole",
]

Durability = Literal["none", "process", "machine"]
OnError = Literal["raise", "skip", "fill"]
Repeat = Literal["safe", "journal", "never"]


@dataclass(frozen=True, slots=True)
class Options:
    """What a run may use; None means: decide from the machine when the run begins."""

    memory: int | None = None
    """Bytes that the run may hold, over all its processes."""
    workers: int | None = None
    scheduler: Any = "processes"
    """``"processes"``, ``"threads"``, ``"serial"`` or a client of dask.distributed."""
    durability: Durability = "none"
    progress: bool | None = None
    """None: a bar where there is a terminal, log lines elsewhere, for runs that last."""
    drop: bool | None = None
    """Let go of the cached pages that a run brought in; None: when it does not fit the budget."""
    on_error: OnError = "raise"
    """What a block becomes whose function raises."""
    fill_value: Any = None
    """With ``on_error="fill"``; None: nan where the dtype has it, else zero."""
    lock: bool | None = None
    """Lock the files of a run; None: where the file system can, False: never."""
    fuse: bool | None = None
    """Make one loop of what goes together; None: where there is more than a little to do."""
    math: Literal["vector", "libm"] = "vector"
    """Whose elementary functions fused loops use: ours, or the system's."""
    tuning: Tuning | None = None
    """How to deal with the disk; None: what `oocarray tune` has kept for the run's files."""
    backend: Literal["mapped", "dask", "zarr"] = "mapped"
    """Who evaluates: we, or a library to compare with."""


# ---- where data lies -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class InMemory:
    """An array of this process, held for the length of a run; workers see it through a memfd."""

    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def nbytes(self) -> int:
        return int(self.array.nbytes)


class Source(Protocol):
    """Whatever has a shape and a dtype and can be cut by regions."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def nbytes(self) -> int: ...


# ---- what a stage reads ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Result:
    """As a source: what write number `write` of an earlier stage made, once that stage ended."""

    stage: int
    write: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Access:
    """One thing that a stage reads: a source, and how an item finds its part of it."""

    source: Source
    how: How

    def region(self, grid: Grid, coords: Coords) -> Region:
        """The region of the source that the item at `coords` reads."""
        return self.how.region(grid, coords, self.source.shape)

    def repeated(self, grid: Grid) -> bool:
        """Whether every item reads one and the same region: first and last tell for all."""
        if grid.size < 2:
            return False
        if isinstance(self.how, (Through, Via)):
            first, *others = (self.region(grid, coords) for coords in some(grid))
            return all(other == first for other in others)
        first, last = (self.region(grid, grid.coords(number)) for number in (0, grid.size - 1))
        return first == last

    def regions(self, grid: Grid, coords: Coords) -> tuple[Region, ...]:
        """Every region that the item reads: more than one where a halo goes round the edge."""
        if isinstance(self.how, Halo):
            pieces = self.how.pieces(grid, coords, self.source.shape)
            return tuple(source for source, _ in pieces)
        return tuple(self.box(grid, coords, coords))

    def box(self, grid: Grid, first: Coords, last: Coords) -> list[Region]:
        """The regions that the items from `first` to `last`, the ends of a box, read together."""
        return boxed(self.how, grid, first, last, self.source.shape)


# ---- what a stage writes ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counted:
    """As a target: a one-dimensional array, made when an earlier stage has told its length."""

    length: Result
    """Offsets of the items' pieces; the last is the length."""
    dtype: np.dtype[Any]
    most: int
    """It will not be longer: so much room is asked for before the run."""
    path: str | None = None
    """File to be made; None: in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.most,)

    @property
    def nbytes(self) -> int:
        return self.most * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Blocks:
    """Each item writes its block of `grid` into `target`.

    With `where`, an earlier stage decides the regions (the offsets of a boolean selection):
    item n writes elements ``where[n]`` to ``where[n + 1]`` of a one-dimensional target, and
    `grid` is only the grid of the items.
    """

    target: Source
    grid: Grid
    where: Result | None = None

    def region(self, coords: Coords, offsets: np.ndarray[Any, Any] | None = None) -> Region:
        """The region that the item at `coords` writes; with `where`, `offsets` is what it gave."""
        if self.where is None:
            return self.grid.region(coords)
        assert offsets is not None
        number = self.grid.number(coords)
        return (slice(int(offsets[number]), int(offsets[number + 1])),)


@dataclass(frozen=True, slots=True)
class Partials:
    """Each item yields a partial result per leaf, combined in a fixed tree over the leaves."""

    reduction: Any
    """A record with ``leaves``, ``combine`` and ``finish`` (see `oocarray.leaves`)."""
    leaves: Grid
    """A refinement of the stage's grid."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """Each item writes its block of `grid` into an intermediate array that ends with the run."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    grid: Grid

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


Write = Blocks | Partials | Scratch


# ---- stages and plans -----------------------------------------------------------------------


class Task(NamedTuple):
    """A range of items of one stage."""

    stage: int
    first: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls on a task


@dataclass(frozen=True, slots=True)
class Stage:
    """One kernel over all items of `grid`."""

    kernel: Any
    grid: Grid
    reads: tuple[Access, ...]
    writes: tuple[Write, ...]
    after: tuple[int, ...] = ()
    """Numbers of the stages that must have ended before this one begins."""
    repeat: Repeat = "safe"
    """What another run of an item does: no harm, harm unless journalled, always harm."""
    label: str = "stage"

    @property
    def in_place(self) -> bool:
        """Whether the stage changes an array that it also reads."""
        return self.repeat != "safe"


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in an order in which they can run, and what the caller gets of them."""

    stages: tuple[Stage, ...]
    outputs: tuple[Result, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """Sentences for ``explain()``: choices made while planning, with their reasons."""


# ---- what observers are told ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Began:
    """A stage begins."""

    stage: int
    stages: int
    label: str
    items: int
    nbytes: int
    """Bytes that it will read and write."""
    budget: int
    policy: str
    pids: tuple[int, ...] = ()
    """Processes that hold memory for the run, beside this one."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """Some items are done."""

    stage: int
    items: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A stage has ended, well or not."""

    stage: int
    seconds: float
    ok: bool
    kernel_seconds: float = 0.0
    failed: tuple[tuple[Coords, str], ...] = ()
    """Blocks that were skipped or filled because their function raised, and what it raised."""


Event = Began | Advanced | Ended
