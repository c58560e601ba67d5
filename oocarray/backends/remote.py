"""Our evaluator on the workers of a client of dask.distributed; it updates nothing in place."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..lazy.graph import Root
from ..observe import default_observers
from ..plan import Options, Plan
from ..runtime.limits import Limits
from ..runtime.remote.cluster import Cluster, check_client, describe, look_at
from ..runtime.remote.run import IN_PLACE, run_remote
from ..storage.draft import Unpublished
from ..units import format_bytes, format_seconds
from .codes import NotFused, compile_plan, needs_kernels
from .ending import descriptors, evaluation, new_folders, part_names, tell_not_fused
from .mapped import limits_of
from .measured import Measuring
from .planning import compiled, plan_of
from .settling import Settling

__all__ = ["evaluate", "limits_on", "planning_on"]

log = logging.getLogger("oocarray")

Array = np.ndarray[Any, Any]


def evaluate(
    roots: Sequence[Root], options: Options, drafts: Sequence[Unpublished] = ()
) -> list[Array]:
    """Make all roots on a client's workers; return the results of those without a target.

    Parameters
    ----------
    roots : sequence of Root
    options : Options
        Its scheduler is the client.
    drafts : sequence of Unpublished
        New files that are targets: published when all is done, discarded otherwise.

    Raises
    ------
    TypeError
        The scheduler is no client.
    ValueError
        A root is an update in place.
    """
    began, wanted = time.perf_counter(), [root.node for root in roots]
    with evaluation(roots, options, drafts) as (watch, whole):
        client = options.scheduler
        check_client(client)
        for root in roots:
            if root.in_place:
                raise ValueError(IN_PLACE.format(getattr(root.node, "name", "update")))
        cluster = look_at(client, options.memory, kernels=True)
        settling = Settling(options)
        roots = [replace(root, node=settling(root.node)) for root in roots]
        limits = limits_on(cluster, roots, options)
        here = planning_on(cluster, options)
        plan = plan_of(roots, limits, here)
        settling.hand_back()
        if watch is not None:
            watch.check()
        there = None
        if cluster.same_processor:
            try:
                plan = compiled(plan)
            except NotFused as error:
                tell_not_fused(error)
                plan = compile_plan(plan_of(roots, limits, replace(here, fuse=False)))
        elif needs_kernels(plan):
            there = compile_plan
        observers = default_observers(limits.progress if watch is None else bool(limits.progress))
        if watch is not None and whole:
            observers.append(watch)
        observers.append(Measuring(wanted, began))
        new = new_folders(drafts)
        found = run_remote(plan, limits, client, cluster, _named(drafts), observers, there, new)
    _tell_end(plan, cluster, time.perf_counter() - began)
    return found


def planning_on(cluster: Cluster, options: Options) -> Options:
    """Options to plan by: what is remembered holds no client, nor code that not all can run."""
    here = replace(options, scheduler="threads")
    return here if cluster.same_processor else replace(here, fuse=False)


def limits_on(cluster: Cluster, roots: Sequence[Root], options: Options) -> Limits:
    """Memory and threads of a cluster, and whatever else was asked for."""
    usual = limits_of(replace(options, scheduler="threads"), roots)
    return replace(usual, memory=cluster.memory, workers=cluster.threads)


def _named(drafts: Sequence[Unpublished]) -> dict[tuple[int, int], tuple[int, str]]:
    """New files by identity: our descriptor, and the name by which workers open it."""
    paths = part_names(drafts)
    return {key: (fd, paths[key]) for key, fd in descriptors(drafts).items()}


def _tell_end(plan: Plan, cluster: Cluster, seconds: float) -> None:
    log.info(
        "%s: %s, %s each, in %s",
        "; ".join(stage.label for stage in plan.stages) or "nothing to do",
        describe(cluster),
        format_bytes(cluster.share),
        format_seconds(seconds),
    )
