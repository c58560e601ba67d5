"""Refuses a plan in which bytes are read and changed at once; it changes nothing, reads no data."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import OverlapError, PlanError
from .plan import Blocks, Gather, Halo, InMemory, Plan, Same, Source, Stage
from .storage.layout import Strided
from .storage.naming import path_of
from .storage.tiled import Tiled

__all__ = ["check_apart", "check_overlaps", "share_bytes"]


def check_overlaps(plan: Plan) -> None:
    """Check that no block changes bytes which another one, or another stage, reads or writes.

    Blocks of one target are disjoint because its grid is a partition and it repeats no byte.

    Raises
    ------
    OverlapError
    PlanError
        A stage that is said to change one array does not.
    """
    for number, stage in enumerate(plan.stages):
        _check_outputs(stage)
        _check_in_place(stage)
        _check_others(plan, number, stage)


def share_bytes(one: Source, other: Source) -> bool:
    """Whether two arrays have bytes in common, in a file or in this process's memory."""
    if isinstance(one, Strided | Tiled) and isinstance(other, Strided | Tiled):
        return one.overlaps(other)
    if isinstance(one, InMemory) and isinstance(other, InMemory):
        return np.may_share_memory(one.array, other.array)
    return False


def _check_outputs(stage: Stage) -> None:
    targets = [write.target for write in stage.writes if isinstance(write, Blocks)]
    for number, target in enumerate(targets):
        if isinstance(target, Strided | Tiled) and not target.injective:
            raise OverlapError(
                f"{stage.label}: elements of the target in {path_of(target)} share bytes, so "
                "that two tasks would write the same ones"
            )
        for other in targets[:number]:
            if share_bytes(target, other):
                raise OverlapError(f"{stage.label}: two outputs share bytes of one array")


def _check_others(plan: Plan, number: int, stage: Stage) -> None:
    """What a stage writes is read or written by another one only if their order is given."""
    before = _all_before(plan, number)
    for earlier_number, earlier in enumerate(plan.stages[:number]):
        if earlier_number in before:
            continue
        for one, other in ((stage, earlier), (earlier, stage)):
            mine = [write.target for write in one.writes if isinstance(write, Blocks)]
            theirs = [write.target for write in other.writes if isinstance(write, Blocks)]
            theirs += [access.source for access in other.reads]
            for target in mine:
                if any(share_bytes(target, source) for source in theirs):
                    raise OverlapError(
                        f"{one.label} changes {_named(target)}, which {other.label} of the same "
                        "run uses, and neither waits for the other; store one of them in a new "
                        "file first"
                    )


def _all_before(plan: Plan, number: int) -> set[int]:
    found: set[int] = set()
    waiting = list(plan.stages[number].after)
    while waiting:
        stage = waiting.pop()
        if stage not in found:
            found.add(stage)
            waiting += plan.stages[stage].after
    return found


def check_apart(plan: Plan) -> None:
    """Check that no result of a pass goes where others of it are made of.

    A block is stored as soon as it is made, when another of the same item may still have to be.

    Raises
    ------
    OverlapError
    """
    for stage in plan.stages:
        targets = [write.target for write in stage.writes if isinstance(write, Blocks)]
        for target in targets if len(stage.writes) > 1 else ():
            if any(share_bytes(target, access.source) for access in stage.reads):
                raise OverlapError(
                    f"{stage.label}: one result goes to {_named(target)}, which the others of the "
                    "run are made of, too; store one of them in a new file first"
                )


def _named(target: Any) -> str:
    return path_of(target) if isinstance(target, Strided | Tiled) else "an array"


def _check_in_place(stage: Stage) -> None:
    if stage.in_place:
        changed = [write.target for write in stage.writes if isinstance(write, Blocks)]
        if len(changed) != 1 or not any(access.source == changed[0] for access in stage.reads):
            raise PlanError(
                f"{stage.label}: repeat={stage.repeat!r} is for a stage that changes one array, "
                f"which it reads; it writes {len(changed)}"
            )
    for write in stage.writes:
        if not isinstance(write, Blocks) or not isinstance(write.target, Strided | Tiled):
            continue
        target = write.target
        for access in stage.reads:
            source = access.source
            if not isinstance(source, Strided | Tiled) or not source.overlaps(target):
                continue
            path = path_of(target)
            if isinstance(access.how, Halo):
                raise OverlapError(
                    f"{stage.label}: a halo on {path}, which is updated in place: a block would "
                    "read neighbours that are changed already; write a new file instead"
                )
            if not source.same_elements(target) or not _same_blocks(access.how, write, stage):
                other = path_of(source)
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
