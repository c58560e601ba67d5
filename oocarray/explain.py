"""Says what a run would do, before it does it: stages, passes, bytes, memory; it runs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from .backends import mapped
from .errors import PlanError
from .estimate import stage_bytes
from .lazy.graph import Root
from .pages.tuning import DEFAULT, Tuning
from .plan import Access, Blocks, InMemory, Options, Partials, Result, Scratch, Stage
from .runtime.leaving import drop_of
from .runtime.limits import room
from .runtime.pipeline import Forecast, forecast
from .runtime.scheduler import Limits
from .storage.layout import Strided
from .units import format_bytes, format_count
from .validate import validate

__all__ = ["Explanation", "explain"]

_PAGE_CACHE = {
    "behind": "left as found: what the run brings in is dropped behind it",
    "at the end": "left as found: what the run brings in is dropped at its end",
    "never": "what the run brings in stays, as far as the system has room",
}


class Explanation(str):
    """Text that shows itself as it is, in a terminal and in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def explain(roots: Sequence[Root], options: Options) -> Explanation:
    """Describe the plan for some roots.

    Examples
    --------
    >>> import numpy as np
    >>> import oocarray as oo
    >>> x = oo.from_array(np.zeros((1000, 1000)))
    >>> print(x.mean().explain(memory="64 MiB", workers=2, scheduler="serial"))
    1 stage, reads 7.63 MiB, writes 0 B
    memory budget 64 MiB, 1 worker (serial)
    policy resident: 7.63 MiB fit the budget of 64 MiB
    page cache: what the run brings in stays, as far as the system has room
    stage 0: mean
      1 block of (1000, 1000), 1 per task
      reads array in memory (1000, 1000) float64, 7.63 MiB
      makes mean from 8 leaves
      in memory at once: at most 7.63 MiB
    """
    limits = mapped.limits_of(options, roots)
    plan = mapped.plan_of(roots, limits, options)
    read = sum(stage_bytes(stage)[0] for stage in plan.stages)
    written = sum(stage_bytes(stage)[1] for stage in plan.stages)
    separate = options.scheduler == "processes"
    told = forecast(plan, limits, separate)
    why = "" if options.memory is not None else f" (half of the {format_bytes(room())} free)"
    stages = format_count(len(plan.stages), "stage")
    workers = f"{_workers(told, limits)} ({options.scheduler})"
    lines = [
        f"{stages}, reads {format_bytes(read)}, writes {format_bytes(written)}",
        f"memory budget {format_bytes(limits.memory)}{why}, {workers}",
        f"policy {told.residency.policy}: {told.residency.reason}",
        f"page cache: {_PAGE_CACHE[drop_of(told.residency.policy, limits.drop)]}",
        *plan.notes,
        *_advice(limits.tuning),
    ]
    for number, stage in enumerate(plan.stages):
        lines += _stage_lines(number, stage, told)
    try:
        validate(plan, budget=limits.memory, separate=separate)
    except PlanError as error:
        lines.append(f"refused: {error}")
    kept = sum(
        write.nbytes
        for stage in plan.stages
        for write in stage.writes
        if isinstance(write, Scratch)
    )
    if kept > limits.memory:
        lines.append(
            f"compute() is refused: the result has {format_bytes(kept)}, memory= allows "
            f"{format_bytes(limits.memory)}; store() it into a file"
        )
    return Explanation("\n".join(lines))


def _advice(tuning: Tuning) -> list[str]:
    """How the disk is dealt with, where that is not as always."""
    if tuning.origin:
        return [f"advice: tuned {tuning.origin}: {tuning.words()}"]
    return [f"advice: {tuning.words()}"] if tuning != DEFAULT else []


def _workers(told: Forecast, limits: Limits) -> str:
    """How many work, and why no more."""
    if told.workers == limits.workers:
        return format_count(limits.workers, "worker")
    least = min(tasks.least for tasks in told.stages)
    return (
        f"{told.workers} of {format_count(limits.workers, 'worker')}, as each needs "
        f"{format_bytes(least)} for a block"
    )


def _stage_lines(number: int, stage: Stage, told: Forecast) -> list[str]:
    tasks = told.stages[number]
    after = f", after stage {', '.join(map(str, stage.after))}" if stage.after else ""
    blocks = format_count(stage.grid.size, "block")
    lines = [
        f"stage {number}: {stage.label}{after}",
        f"  {blocks} of {stage.grid.max_block_shape}, {tasks.per_task} per task",
    ]
    lines += [f"  reads {_source(access)}" for access in stage.reads]
    for write in stage.writes:
        if isinstance(write, Partials):
            name = getattr(write.reduction, "name", "blocks of unknown size")
            lines.append(f"  makes {name} from {_leaves(write.leaves.size)}")
        else:
            lines.append(f"  {_target(write, stage)}")
    if told.workers != tasks.workers:
        lines.append(f"  {format_count(tasks.workers, 'worker')} at once")
    peak = told.peaks[number]
    lines.append(f"  in memory at once: at most {format_bytes(peak)}")
    return lines


def _leaves(count: int) -> str:
    return "1 leaf" if count == 1 else f"{count:,} leaves"


def _source(access: Access) -> str:
    source = access.source
    if isinstance(source, Strided):
        where = source.file.path
    elif isinstance(source, Result):
        where = f"the result of stage {source.stage}"
    else:
        where = "array in memory"
    return f"{where} {source.shape} {source.dtype}, {format_bytes(source.nbytes)}"


def _target(write: Blocks | Scratch, stage: Stage) -> str:
    if isinstance(write, Scratch):
        return f"keeps the result in memory: {write.shape} {write.dtype}"
    target = write.target
    if isinstance(target, InMemory):
        return f"fills an array in memory: {target.shape} {target.dtype}"
    assert isinstance(target, Strided)
    verb = "changes in place" if stage.in_place else "writes"
    return f"{verb} {target.file.path} {target.shape} {target.dtype}, {format_bytes(target.nbytes)}"
