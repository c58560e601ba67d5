"""Our evaluator: plans, compiles, runs, publishes; it decides no layout."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..estimate import stage_bytes
from ..lazy.graph import Root
from ..observe import default_observers
from ..plan import Options, Plan
from ..runtime.interrupts import ends_by_sigterm
from ..runtime.leaving import drop_of
from ..runtime.limits import memory_of, room, workers_of
from ..runtime.pipeline import forecast
from ..runtime.pools import Lease
from ..runtime.remote.cluster import check_client
from ..runtime.scheduler import Limits, run_plan
from ..storage.draft import Unpublished
from ..units import format_bytes, format_count, format_seconds
from .codes import NotFused, compile_plan, needs_kernels
from .ending import (
    descriptors,
    evaluation,
    new_folders,
    sync_changed,
    tell_not_fused,
    zarr_folders,
)
from .measured import Measuring
from .planning import compiled, plan_of
from .settling import Settling
from .tuned import tuned
from .watching import watched

__all__ = ["evaluate", "limits_of", "plan_of"]

log = logging.getLogger("oocarray")

Array = np.ndarray[Any, Any]


def limits_of(options: Options, roots: Sequence[Root] = ()) -> Limits:
    """Decide what a run may use; of `roots` only where their files are.

    Raises
    ------
    ValueError, TypeError
        `workers` is below 1, or the scheduler is no client that serves.
    """
    if not isinstance(options.scheduler, str):
        check_client(options.scheduler)
    memory = memory_of(options)
    workers = workers_of(options)
    if not isinstance(options.scheduler, str):
        workers = max(sum(options.scheduler.nthreads().values()), 1)
    if workers < 1:
        raise ValueError(f"workers={workers}; at least 1 is needed")
    if options.scheduler == "serial":
        workers = 1
    watch = watched.get()
    return Limits(
        memory,
        workers,
        progress=options.progress,
        durable=options.durability != "none",
        drop=options.drop,
        on_error=options.on_error,
        fill_value=options.fill_value,
        lock=options.lock,
        stop=None if watch is None else watch.stop,
        tuning=tuned(roots) if options.tuning is None else options.tuning,
    )


@ends_by_sigterm
def evaluate(
    roots: Sequence[Root], options: Options, drafts: Sequence[Unpublished] = ()
) -> list[Array]:
    """Make all roots; return the results of those without a target.

    Parameters
    ----------
    roots : sequence of Root
    options : Options
    drafts : sequence of Unpublished
        New files that are targets: published when all is done, discarded otherwise.
    """
    if not isinstance(options.scheduler, str):
        from .remote import evaluate as elsewhere

        return elsewhere(roots, options, drafts)
    began, wanted = time.perf_counter(), [root.node for root in roots]
    with evaluation(roots, options, drafts) as (watch, whole):
        limits = limits_of(options, roots)
        settling = Settling(options)
        roots = [replace(root, node=settling(root.node)) for root in roots]
        plan = plan_of(roots, limits, options)
        settling.hand_back()
        _tell(plan, limits, options)
        if watch is not None:
            watch.check()
        enough = forecast(plan, limits, options.scheduler == "processes").workers
        with Lease(options.scheduler, limits.workers, needs_kernels(plan), enough) as pool:
            try:
                plan = compiled(plan)
            except NotFused as error:
                tell_not_fused(error)
                plan = compile_plan(plan_of(roots, limits, replace(options, fuse=False)))
            # Who watches shows it too, unless a bar is asked for.
            observers = default_observers(
                limits.progress if watch is None else bool(limits.progress)
            )
            if watch is not None and whole:
                observers.append(watch)
            observers.append(Measuring(wanted, began))
            new = new_folders(drafts)
            found = run_plan(plan, limits, pool, descriptors(drafts), observers, new)
        if options.durability != "none":
            sync_changed(zarr_folders(roots), drafts)
    _tell_end(plan, time.perf_counter() - began)
    return found


def _tell(plan: Plan, limits: Limits, options: Options) -> None:
    """Log what was decided for a run, and from what."""
    if not log.isEnabledFor(logging.DEBUG):
        return
    memory = f"half of the {format_bytes(room())} free" if options.memory is None else "memory="
    workers = "workers=" if options.workers is not None else "processors, quota and memory"
    if options.scheduler == "serial":
        workers = "serial"
    log.debug(
        "run: scheduler %s, budget %s (%s), %s (%s)",
        options.scheduler,
        format_bytes(limits.memory),
        memory,
        format_count(limits.workers, "worker"),
        workers,
    )
    residency = forecast(plan, limits, options.scheduler == "processes").residency
    drop = drop_of(residency.policy, limits.drop)
    log.debug(
        "policy %s: %s; pages that the run caches are %s (%s)",
        residency.policy,
        residency.reason,
        {"behind": "dropped behind it", "at the end": "dropped at its end"}.get(drop, "kept"),
        "drop=" if limits.drop is not None else "by the policy",
    )


def _tell_end(plan: Plan, seconds: float) -> None:
    """Log, in one line, that a run is over."""
    if not log.isEnabledFor(logging.INFO):
        return
    each = [stage_bytes(stage) for stage in plan.stages]
    log.info(
        "%s: %s, read %s, wrote %s in %s",
        "; ".join(stage.label for stage in plan.stages) or "nothing to do",
        format_count(len(plan.stages), "stage"),
        format_bytes(sum(read for read, _ in each)),
        format_bytes(sum(written for _, written in each)),
        format_seconds(seconds),
    )
