"""Refuses a plan that must not run, before a byte moves; it changes nothing and reads no data."""

from __future__ import annotations

import os
import shutil

from .budget import check_budget
from .errors import PlanError
from .estimate import kept_bytes, resident_bytes
from .grid import Grid
from .overlaps import check_apart, check_overlaps
from .plan import (
    Access,
    Blocks,
    Broadcast,
    Counted,
    Gather,
    Halo,
    Partials,
    Plan,
    Result,
    Same,
    Scratch,
    Stage,
)
from .storage.layout import Strided
from .storage.naming import path_of
from .storage.tiled import Tiled
from .units import format_bytes

__all__ = ["validate"]


def validate(
    plan: Plan, *, budget: int, scratch: str | None = None, separate: bool = False
) -> None:
    """Check a plan against the bytes it may hold and against itself.

    Parameters
    ----------
    plan : Plan
    budget : int
        Bytes that the run may hold at once.
    scratch : str, optional
        Folder that will take intermediate arrays; its free room is checked.
    separate : bool
        Workers are other processes, which see arrays of this one as copies in shared memory.

    Raises
    ------
    BudgetError
        One block, with the results that the run keeps, does not fit the budget.
    OverlapError
        Two tasks would write the same bytes, or one reads what another changes.
    PlanError
        The stages do not follow from each other.
    OSError
        An output cannot be written, or there is no room for intermediate arrays.
    """
    for number, stage in enumerate(plan.stages):
        _check_order(plan, number, stage)
        _check_grids(stage)
        _check_targets(stage)
    check_overlaps(plan)
    check_apart(plan)
    if resident_bytes(plan, 1, separate) > budget:
        kept = kept_bytes(plan, separate)
        for stage in plan.stages:
            check_budget(stage, budget, kept, separate)
    for output in plan.outputs:
        if not 0 <= output.stage < len(plan.stages):
            raise PlanError(f"an output comes from stage {output.stage} of {len(plan.stages)}")
    _check_room(plan, scratch)


def _check_order(plan: Plan, number: int, stage: Stage) -> None:
    results = [access.source for access in stage.reads if isinstance(access.source, Result)]
    results += [w.where for w in stage.writes if isinstance(w, Blocks) and w.where is not None]
    for before in (*stage.after, *(result.stage for result in results)):
        if not 0 <= before < number:
            raise PlanError(
                f"stage {number} ({stage.label}) waits for stage {before}, which is not before it"
            )
    for result in results:
        if result.stage not in stage.after:
            raise PlanError(
                f"stage {number} ({stage.label}) reads what stage {result.stage} makes, "
                "but does not wait for it"
            )
        if not 0 <= result.write < len(plan.stages[result.stage].writes):
            raise PlanError(f"stage {result.stage} has no write number {result.write}")


def _check_grids(stage: Stage) -> None:
    for access in stage.reads:
        _check_access(stage, access)
    for write in stage.writes:
        if isinstance(write, Partials):
            if not write.leaves.refines(stage.grid):
                raise PlanError(f"{stage.label}: items are not unions of leaves")
        elif write.grid.numblocks != stage.grid.numblocks:
            raise PlanError(
                f"{stage.label}: {stage.grid.numblocks} items write {write.grid.numblocks} blocks"
            )


def _check_access(stage: Stage, access: Access) -> None:
    grid, how, shape = stage.grid, access.how, tuple(access.source.shape)
    if isinstance(how, (Same, Halo)) and tuple(grid.shape) != shape:
        raise PlanError(
            f"{stage.label}: the grid covers shape {grid.shape}, the source has {shape}"
        )
    if isinstance(how, Broadcast):
        own = tuple(grid.shape)[max(grid.ndim - len(shape), 0) :]
        if len(own) != len(shape) or any(
            size not in (1, extent) for size, extent in zip(shape, own, strict=True)
        ):
            raise PlanError(
                f"{stage.label}: a source of shape {shape} does not spread over {grid.shape}"
            )
    if isinstance(how, Halo):
        _check_halo(stage, how, shape)
    if isinstance(how, Gather):
        if len(how.axes) != len(shape):
            raise PlanError(f"{stage.label}: {how.axes} for a source of shape {shape}")
        for axis, (own_axis, count) in enumerate(zip(how.axes, how.grid.numblocks, strict=True)):
            if own_axis >= 0 and (own_axis >= grid.ndim or count < grid.numblocks[own_axis]):
                raise PlanError(
                    f"{stage.label}: axis {axis} of a source has {count} blocks, to be picked by "
                    f"axis {own_axis} of {grid.numblocks} items"
                )


def _check_halo(stage: Stage, how: Halo, shape: tuple[int, ...]) -> None:
    for axis, (depth, edge, size) in enumerate(zip(how.depth, how.boundary, shape, strict=True)):
        if min(depth) < 0:
            raise PlanError(f"{stage.label}: depth {depth} on axis {axis} is negative")
        if edge in ("periodic", "reflect") and max(depth) > size:
            raise PlanError(
                f"{stage.label}: depth {max(depth)} on axis {axis} goes more than once round its "
                f"extent of {size}"
            )


def _check_targets(stage: Stage) -> None:
    for write in stage.writes:
        if not isinstance(write, Blocks):
            continue
        if write.where is not None:
            _check_where(stage, write, write.where)
        elif tuple(write.grid.shape) != tuple(write.target.shape):
            raise PlanError(
                f"{stage.label}: blocks of shape {write.grid.shape} for a target of "
                f"shape {write.target.shape}"
            )
        if isinstance(write.target, Tiled) and write.target.table.encoded:
            _check_encoded(stage, write.target, write.grid)


def _check_encoded(stage: Stage, target: Tiled, grid: Grid) -> None:
    """What is encoded as a whole must be made by one item."""
    if not target.has_whole_pieces(grid.chunks):
        pieces = tuple(cut.most for cut in target.table.cuts)
        raise PlanError(
            f"{stage.label}: blocks of shape {grid.max_block_shape} do not consist of whole chunks "
            f"of {path_of(target)}, {pieces}, which are compressed; assign or store whole ones "
            f"(rechunk({pieces}) what is stored), or make the array without compressors="
        )


def _check_where(stage: Stage, write: Blocks, where: Result) -> None:
    items = stage.grid.size
    if tuple(where.shape) != (items + 1,) or where.dtype.kind not in "iu":
        raise PlanError(
            f"{stage.label}: {items} items need {items + 1} integer offsets, not {where.dtype} of "
            f"shape {where.shape}"
        )
    if len(write.target.shape) != 1:
        raise PlanError(
            f"{stage.label}: offsets lead into a one-dimensional target, not one of shape "
            f"{write.target.shape}"
        )


def _check_room(plan: Plan, scratch: str | None) -> None:
    for stage in plan.stages:
        for write in stage.writes:
            if not isinstance(write, Blocks):
                continue
            if isinstance(write.target, Counted):
                _check_counted(stage, write.target)
            if not isinstance(write.target, Strided | Tiled):
                continue
            path = write.target.file.path
            try:
                # os.access() would ask for the user who started this, and not what it may do.
                os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY))
            except FileNotFoundError:
                continue
            except OSError as error:
                text = f"{stage.label}: cannot write: {error.strerror}"
                raise type(error)(error.errno, text, path) from None
    needed = sum(
        write.nbytes
        for stage in plan.stages
        for write in stage.writes
        if isinstance(write, Scratch)
    )
    if scratch is not None and needed:
        free = shutil.disk_usage(scratch).free
        if free < needed:
            raise OSError(
                28,
                f"intermediate arrays need {format_bytes(needed)}, {scratch} has "
                f"{format_bytes(free)} free; set scratch= to another folder",
            )


def _check_counted(stage: Stage, target: Counted) -> None:
    if target.path is None:
        return
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(target.path))).free
    if free < target.nbytes:
        raise OSError(
            28,
            f"{stage.label}: may need up to {format_bytes(target.nbytes)}, the disk has "
            f"{format_bytes(free)} free",
            target.path,
        )
