"""Refuses a plan that must not run, before a byte moves; it changes nothing and reads no data."""

from __future__ import annotations

import os
import shutil

from .chunking import auto_chunks
from .errors import BudgetError, OverlapError, PlanError
from .estimate import calls_of, item_cost
from .plan import Blocks, Gather, Halo, InMemory, Partials, Plan, Result, Same, Scratch, Stage
from .storage.layout import Strided
from .units import format_bytes

__all__ = ["validate"]


def validate(plan: Plan, *, budget: int, scratch: str | None = None) -> None:
    """Check a plan against the bytes it may hold and against itself.

    Parameters
    ----------
    plan : Plan
    budget : int
        Bytes that the run may hold at once.
    scratch : str, optional
        Folder that will take intermediate arrays; its free room is checked.

    Raises
    ------
    BudgetError
        One block does not fit the budget.
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
        _check_in_place(stage)
        _check_budget(stage, budget)
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
        if result.write >= len(plan.stages[result.stage].writes):
            raise PlanError(f"stage {result.stage} has no write number {result.write}")


def _check_grids(stage: Stage) -> None:
    for access in stage.reads:
        shape = access.source.shape
        if isinstance(access.how, (Same, Halo)) and tuple(stage.grid.shape) != tuple(shape):
            raise PlanError(
                f"{stage.label}: the grid covers shape {stage.grid.shape}, the source has {shape}"
            )
        if isinstance(access.how, Gather) and len(access.how.axes) != len(shape):
            raise PlanError(f"{stage.label}: {access.how.axes} for a source of shape {shape}")
    for write in stage.writes:
        if isinstance(write, Partials):
            if not write.leaves.refines(stage.grid):
                raise PlanError(f"{stage.label}: items are not unions of leaves")
        elif write.grid.numblocks != stage.grid.numblocks:
            raise PlanError(
                f"{stage.label}: {stage.grid.numblocks} items write {write.grid.numblocks} blocks"
            )


def _check_targets(stage: Stage) -> None:
    """Blocks of one target are disjoint because its grid is a partition and it repeats no byte."""
    targets = [write.target for write in stage.writes if isinstance(write, Blocks)]
    for write in stage.writes:
        if isinstance(write, Blocks) and tuple(write.grid.shape) != tuple(write.target.shape):
            raise PlanError(
                f"{stage.label}: blocks of shape {write.grid.shape} for a target of "
                f"shape {write.target.shape}"
            )
    for number, target in enumerate(targets):
        if isinstance(target, Strided) and not target.injective:
            raise OverlapError(
                f"{stage.label}: elements of the target in {target.file.path} share bytes, so "
                "that two tasks would write the same ones"
            )
        for other in targets[:number]:
            same = isinstance(target, InMemory) and target is other
            if same or (
                isinstance(target, Strided)
                and isinstance(other, Strided)
                and target.overlaps(other)
            ):
                raise OverlapError(f"{stage.label}: two outputs share bytes of one array")


def _check_in_place(stage: Stage) -> None:
    for write in stage.writes:
        if not isinstance(write, Blocks) or not isinstance(write.target, Strided):
            continue
        target = write.target
        for access in stage.reads:
            source = access.source
            if not isinstance(source, Strided) or not source.overlaps(target):
                continue
            path = target.file.path
            if isinstance(access.how, Halo):
                raise OverlapError(
                    f"{stage.label}: a halo on {path}, which is updated in place: a block would "
                    "read neighbours that are changed already; write a new file instead"
                )
            if not source.same_elements(target) or not _same_blocks(access.how, write, stage):
                other = source.file.path
                names = path if other == path else f"{path} and {other}"
                raise OverlapError(
                    f"{stage.label}: reads and changes the same bytes of {names} in different "
                    "blocks; store the result in a new file instead"
                )


def _same_blocks(how: object, write: Blocks, stage: Stage) -> bool:
    if isinstance(how, Same):
        return write.grid == stage.grid
    return (
        isinstance(how, Gather)
        and how.axes == tuple(range(write.grid.ndim))
        and how.grid == write.grid
    )


def _check_budget(stage: Stage, budget: int) -> None:
    cost = item_cost(stage)
    if cost.total <= budget or not stage.grid.size:
        return
    parts = [
        f"{format_bytes(size)} {what}"
        for size, what in (
            (cost.read, "read"),
            (cost.written, "written"),
            (cost.temporary, "in between"),
        )
        if size
    ]
    largest = max(stage.grid.max_block_shape, default=1)
    element = max(cost.total // max(_volume(stage.grid.max_block_shape), 1), 1)
    fitting = auto_chunks(stage.grid.shape, element, target=budget)
    advice = f"set memory= to at least {format_bytes(cost.total)}"
    if calls_of(stage) and largest > 1:
        smaller = tuple(max(sizes, default=0) for sizes in fitting)
        advice += f", or chunks={smaller}"
    raise BudgetError(
        f"{stage.label}: one block of shape {stage.grid.max_block_shape} needs "
        f"{format_bytes(cost.total)} ({', '.join(parts)}), the memory budget is "
        f"{format_bytes(budget)}; {advice}"
    )


def _volume(shape: tuple[int, ...]) -> int:
    volume = 1
    for size in shape:
        volume *= size
    return volume


def _check_room(plan: Plan, scratch: str | None) -> None:
    for stage in plan.stages:
        for write in stage.writes:
            if not isinstance(write, Blocks) or not isinstance(write.target, Strided):
                continue
            path = write.target.file.path
            if os.path.exists(path) and not os.access(path, os.W_OK):
                raise PermissionError(13, f"{stage.label}: cannot write", path)
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
