"""Refuses a stage that does not fit the memory budget, and says what would; it reads no data."""

from __future__ import annotations

import math

from .chunking import auto_chunks
from .errors import BudgetError
from .estimate import Cost, calls_of, item_cost
from .plan import Gather, Scratch, Stage
from .storage.layout import Strided
from .units import format_at_least, format_bytes

__all__ = ["check_budget"]


def check_budget(stage: Stage, budget: int, kept: int, separate: bool) -> None:
    """See that one worker can hold one block of a stage, beside what the run keeps.

    Parameters
    ----------
    stage : Stage
    budget : int
        Bytes that the run may hold.
    kept : int
        Bytes of results and copies that it holds to its end.
    separate : bool
        Workers are other processes.

    Raises
    ------
    BudgetError
        It does not fit: the message has both numbers, and what to change.
    """
    cost = item_cost(stage, separate)
    needed = cost.total + kept
    if needed <= budget or not stage.grid.size:
        return
    parts = [
        f"{format_bytes(size)} {what}"
        for size, what in (
            (cost.read, "read"),
            (cost.written, "written"),
            (cost.temporary, "in between"),
            (cost.repeated, "read for every block"),
            (cost.arguments, "of arguments"),
        )
        if size
    ]
    text = (
        f"{stage.label}: one block of shape {stage.grid.max_block_shape} needs "
        f"{format_bytes(cost.total)} ({', '.join(parts)}), "
    )
    if kept:
        text += f"results and what workers share of this process's memory {format_bytes(kept)}, "
    advice = f"give at least {format_at_least(needed)} by oo.options(memory=...)"
    if any(isinstance(write, Scratch) for write in stage.writes):
        advice += ", store() the result into a file"
    chunks = _fitting_chunks(stage, cost, budget - kept - cost.repeated - cost.arguments)
    if chunks is not None:
        advice += f", or open the array with chunks={chunks}"
    raise BudgetError(f"{text}the memory budget is {format_bytes(budget)}; {advice}")


def _fitting_chunks(stage: Stage, cost: Cost, room: int) -> tuple[int, ...] | None:
    """Extents of blocks of the first array that is read such that the rest shrinks to fit."""
    if not calls_of(stage):
        # A reduction goes by its leaves, which nobody sets.
        return None
    for access in stage.reads:
        how, source = access.how, access.source
        grid = how.grid if isinstance(how, Gather) else stage.grid
        if grid.shape != tuple(source.shape) or grid.size != stage.grid.size:
            continue
        element = -(-(cost.passing + cost.temporary) // max(math.prod(grid.max_block_shape), 1))
        if element > room:
            return None
        order = source.order if isinstance(source, Strided) else "C"
        fitting = auto_chunks(grid.shape, element, "F" if order == "F" else "C", target=room)
        return tuple(max(sizes, default=0) for sizes in fitting)
    return None
