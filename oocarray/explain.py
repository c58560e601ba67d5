"""Says what a run would do, and what the last one took: stages, bytes, memory; it runs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from .backends import mapped
from .backends.ahead import Ahead
from .backends.measured import Measured, Took, last_run
from .backends.remote import limits_on, planning_on
from .errors import PlanError
from .estimate import resident_bytes, stage_bytes
from .grid import Grid
from .lazy.graph import Root
from .loops import loop_source, loop_words, named
from .meter import speed
from .pages.residency import choose_residency
from .pages.tuning import DEFAULT, Tuning
from .plan import Access, Blocks, InMemory, Options, Partials, Plan, Scratch, Stage
from .runtime.leaving import drop_of
from .runtime.limits import room
from .runtime.pipeline import Forecast, forecast
from .runtime.remote.cluster import Cluster, check_client, describe, look_at
from .runtime.remote.ranges import Ranges, ranges
from .runtime.scheduler import Limits
from .storage.layout import Strided
from .storage.naming import chunks_text
from .storage.tiled import Tiled
from .units import format_bytes, format_count, format_seconds
from .validate import validate
from .walks import some

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


def explain(roots: Sequence[Root], options: Options, source: bool = False) -> Explanation:
    """Describe the plan for some roots; of their last run also what it took.

    With `source`, the loops that are generated for it are shown too.

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

    What must be counted first decides how large the rest is:

    >>> for line in x[x > 0].explain(memory="64 MiB", scheduler="serial").splitlines():
    ...     if line.startswith(("stage", "then")):
    ...         print(line)
    stage 0: count of the mask of select: count_nonzero
    then: select (nan,), its size known after the count
    """
    cluster = None
    if not isinstance(options.scheduler, str):
        check_client(options.scheduler)
        cluster = look_at(options.scheduler, options.memory, kernels=True)
    limits = (
        mapped.limits_of(options, roots) if cluster is None else limits_on(cluster, roots, options)
    )
    ahead = Ahead(roots)
    separate = options.scheduler == "processes"
    runs = [_Run(ahead.ready, "", limits, options, cluster)] if ahead.ready else []
    before = [_Run([Root(node)], why, limits, options, cluster) for why, node in ahead.before]
    ahead.hand_back()
    plans = [*before, *runs]
    last = last_run([root.node for root in roots])
    took: dict[int, Took] = {}
    if last is not None and runs and last.fits([stage.label for stage in runs[0].plan.stages]):
        took = last.took
    lines = [
        *_elsewhere(options),
        *_head(plans, bool(ahead.after), limits, options),
        *(line for run in plans for line in run.plan.notes),
        *_advice(limits.tuning),
        *([] if last is None else [_last_line(last, bool(took))]),
    ]
    base = 0
    for run in plans:
        for number in range(len(run.plan.stages)):
            lines += _stage_lines(number, run, base, took.get(number) if run in runs else None)
            lines += loop_source(run.plan.stages[number]) if source else []
        base += len(run.plan.stages)
    lines += [f"then: {words}" for words in ahead.after]
    for run in plans:
        try:
            validate(run.plan, budget=limits.memory, separate=separate)
        except PlanError as error:
            lines.append(f"refused: {error}")
        if cluster is not None:
            lines += [
                f"refused: {stage.label}: one block needs {format_bytes(shared.least)}, each "
                f"worker may hold {format_bytes(cluster.share)}"
                for stage, shared in zip(run.plan.stages, run.shared, strict=True)
                if shared.least > cluster.share
            ]
    kept = sum(
        write.nbytes
        for run in runs
        for stage in run.plan.stages
        for write in stage.writes
        if isinstance(write, Scratch)
    )
    if kept > limits.memory:
        lines.append(
            f"compute() is refused: the result has {format_bytes(kept)}, memory= allows "
            f"{format_bytes(limits.memory)}; store() it into a file"
        )
    return Explanation("\n".join(lines))


class _Run:
    """One run that is to come: its plan, and how that would be run."""

    def __init__(
        self,
        roots: Sequence[Root],
        why: str,
        limits: Limits,
        options: Options,
        cluster: Cluster | None,
    ) -> None:
        here = options if cluster is None else planning_on(cluster, options)
        self.why, self.options, self.cluster = why, here, cluster
        self.plan: Plan = mapped.plan_of(roots, limits, here)
        self.told: Forecast = forecast(self.plan, limits, here.scheduler == "processes")
        self.shared: list[Ranges] = []
        """How the workers of a client share each stage."""
        if cluster is not None:
            who = cluster.share, cluster.workers, cluster.threads, limits.tuning.unit
            self.shared = [ranges(stage, *who) for stage in self.plan.stages]


def _head(plans: list[_Run], more: bool, limits: Limits, options: Options) -> list[str]:
    """What is said of all stages together."""
    stages = [stage_bytes(stage) for run in plans for stage in run.plan.stages]
    read, written = sum(read for read, _ in stages), sum(written for _, written in stages)
    why = "" if options.memory is not None else f" (half of the {format_bytes(room())} free)"
    count = format_count(len(stages), "stage")
    moved = f"reads {format_bytes(read)}, writes {format_bytes(written)}"
    lines = [f"{count}, {moved}{', then more' if more else ''}"]
    if not plans:
        workers = format_count(limits.workers, "worker")
        return [*lines, f"memory budget {format_bytes(limits.memory)}{why}, {workers}"]
    told = plans[-1].told
    workers, residency = f"{_workers(told, limits)} ({options.scheduler})", told.residency
    left = drop_of(residency.policy, limits.drop)
    cluster = plans[-1].cluster
    if cluster is not None:
        why, workers = "", f"{describe(cluster)}, {format_bytes(cluster.share)} in each"
        needed = resident_bytes(plans[-1].plan, limits.workers, True)
        residency = choose_residency(needed, cluster.share)
        left = "behind" if limits.drop is True else drop_of(residency.policy, limits.drop)
    return [
        *lines,
        f"memory budget {format_bytes(limits.memory)}{why}, {workers}",
        f"policy {residency.policy}: {residency.reason}",
        f"page cache: {_PAGE_CACHE[left]}",
    ]


def _elsewhere(options: Options) -> list[str]:
    if options.backend == "mapped":
        return []
    if options.backend == "zarr":
        return [
            "zarr goes by this plan, a block at a time; of budget, workers and policy it has none"
        ]
    return [f"{options.backend} makes a plan of its own; this is what oocarray would do itself"]


def _last_line(last: Measured, same: bool) -> str:
    """How the run that was measured went, as a whole."""
    words = [f"{format_seconds(last.seconds)} in all" if last.ok else "failed"]
    if not last.ok:
        words[0] += f" after {format_seconds(last.seconds)}"
    each = list(last.took.values())
    words += _moved(each)
    if not same:
        labels = "; ".join(took.label for took in each)
        words.append(f"by other stages ({labels})")
    return f"last run: {', '.join(words)}"


def _took_line(took: Took) -> str:
    """What one stage took when it was last run."""
    words = [format_seconds(took.seconds) if took.ok else "failed after"]
    if not took.ok:
        words[0] += f" {format_seconds(took.seconds)}"
    elif took.seconds > 0:
        words.append(speed(took.nbytes / took.seconds))
    words.append(f"kernel {format_seconds(took.kernel_seconds)}")
    return f"  measured: {', '.join([*words, *_moved([took])])}"


def _moved(each: Sequence[Took]) -> list[str]:
    """What the disk moved and what memory was held, as far as that was looked at."""
    words = []
    read = [took.disk_read for took in each if took.disk_read is not None]
    written = [took.disk_written for took in each if took.disk_written is not None]
    if read and written:
        words.append(f"disk read {format_bytes(sum(read))}, written {format_bytes(sum(written))}")
    held = [took.held for took in each if took.held is not None]
    if held:
        words.append(f"held at most {format_bytes(max(held))}")
    return words


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


def _stage_lines(number: int, run: _Run, base: int, took: Took | None) -> list[str]:
    """One stage of a run; `base` is the number that its first stage has among all."""
    stage, told = run.plan.stages[number], run.told
    tasks, shared = told.stages[number], run.shared[number] if run.shared else None
    numbers = ", ".join(str(base + earlier) for earlier in stage.after)
    after = f", after stage {numbers}" if stage.after else ""
    why = f"{run.why}: " if run.why else ""
    blocks, per_task = format_count(stage.grid.size, "block"), tasks.per_task
    if shared:
        per_task = shared.count
    lines = [
        f"stage {base + number}: {why}{stage.label}{after}",
        f"  {blocks} of {stage.grid.max_block_shape}, {per_task} per task",
    ]
    lines += [f"  reads {_source(access, base, stage.grid)}" for access in stage.reads]
    for write in stage.writes:
        if isinstance(write, Partials):
            name = getattr(write.reduction, "name", "blocks of unknown size")
            lines.append(f"  makes {name} from {_leaves(write.leaves.size)}")
        else:
            lines.append(f"  {_target(write, stage)}")
    lines += [f"  {words}" for words in loop_words(stage, run.options)]
    if shared:
        lines.append(f"  in memory at once: at most {format_bytes(shared.held)} in each worker")
    else:
        if told.workers != tasks.workers:
            lines.append(f"  {format_count(tasks.workers, 'worker')} at once")
        lines.append(f"  in memory at once: at most {format_bytes(told.peaks[number])}")
    return lines if took is None else [*lines, _took_line(took)]


def _leaves(count: int) -> str:
    return "1 leaf" if count == 1 else f"{count:,} leaves"


def _source(access: Access, base: int, grid: Grid) -> str:
    """What is read; of an array in pieces also how."""
    source = access.source
    if not isinstance(source, Tiled):
        return named(source, base)
    words = [named(source, base), "decoded, not mapped" if source.table.encoded else ""]
    words.append(chunks_text(source, grid.chunks))
    most = max((source.count_parts(access.region(grid, at)) for at in some(grid)), default=0)
    if most > 1:
        words.append(f"blocks are put together from up to {most:,} pieces")
    return "; ".join(filter(None, words))


def _target(write: Blocks | Scratch, stage: Stage) -> str:
    if isinstance(write, Scratch):
        return f"keeps the result in memory: {write.shape} {write.dtype}"
    target = write.target
    if isinstance(target, InMemory):
        return f"fills an array in memory: {target.shape} {target.dtype}"
    assert isinstance(target, Strided | Tiled)
    verb = "changes in place" if stage.in_place else "writes"
    return f"{verb} {named(target)}{_encoding(target)}"


def _encoding(target: Strided | Tiled) -> str:
    return ", encoded" if isinstance(target, Tiled) and target.table.encoded else ""
