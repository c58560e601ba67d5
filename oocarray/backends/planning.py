"""Plans an evaluation: stages, units that fit the memory, loops; remembers the last plans.

It runs nothing, but for what must be computed to learn a dtype.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..chunking import BLOCK_BYTES, LEAF_BYTES, floor_power
from ..estimate import item_cost, kept_bytes, resident_bytes, stage_bytes
from ..lazy.fuse import LEAST_BYTES, fuse
from ..lazy.graph import Root
from ..lazy.identity import signature
from ..lazy.lower import lower
from ..lazy.split import split_blocks
from ..pages.residency import work_unit
from ..plan import Options, Plan
from ..runtime.scheduler import Limits
from .codes import compile_plan
from .learning import learn_dtypes

__all__ = ["compiled", "plan_of"]

_LARGEST = 64 << 20
"""Bytes of an item that is reduced where nothing is let go of: each costs some Python."""
_ITEMS = 8
"""So many of them each worker has at least, so that all end at about the same time."""
_REMEMBERED = 32
_plans: OrderedDict[Any, _Fitted] = OrderedDict()
_compiled: OrderedDict[int, tuple[Plan, Plan]] = OrderedDict()
"""Of the plans remembered, with their kernels' code."""
_lock = threading.Lock()


def _renew_lock() -> None:
    """A lock held by another thread at fork would stay held in the child."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A plan, and what of the memory it was fitted to."""

    plan: Plan
    unit: int
    finer: int
    kept: int
    cost: int
    """Bytes of the largest item."""
    resident: int


def plan_of(
    roots: Sequence[Root], limits: Limits | None = None, options: Options | None = None
) -> Plan:
    """Plan without running, operations fused; learns the dtypes that it needs.

    Parameters
    ----------
    roots : sequence of Root
    limits : Limits, optional
        Blocks of elementwise functions that are too large for them are cut finer.
    options : Options, optional
        For what must be computed to learn a dtype.
    """
    key = None if limits is None or options is None else _key(roots, limits, options)
    with _lock:
        known = None if key is None else _plans.get(key)
        if known is not None:
            _plans.move_to_end(key)
    if known is not None and limits is not None and _still_fits(known, limits):
        return known.plan
    for root in roots:
        learn_dtypes(root.node, options)
    if limits is None:
        return lower(roots)
    found = _fitted(roots, limits, options)
    if key is not None:
        with _lock:
            _plans[key] = found
            while len(_plans) > _REMEMBERED:
                _plans.popitem(last=False)
    return found.plan


def compiled(plan: Plan) -> Plan:
    """Return a plan with the code of its kernels; remembered as long as the plan is.

    Raises
    ------
    KernelError, DtypeError, NotFused
        As `compile_plan`.
    """
    with _lock:
        known = _compiled.get(id(plan))
        lasts = any(fitted.plan is plan for fitted in _plans.values())
    if known is not None and known[0] is plan:
        return known[1]
    found = compile_plan(plan)
    if lasts:
        with _lock:
            _compiled[id(plan)] = plan, found
            while len(_compiled) > _REMEMBERED:
                _compiled.popitem(last=False)
    return found


def _key(roots: Sequence[Root], limits: Limits, options: Options) -> Any:
    """What a plan follows from, beside the memory; None where it is not all told by that."""
    if any(root.target is not None for root in roots):
        return None
    told = signature([root.node for root in roots])
    how = options.scheduler, options.fuse, options.math, options.on_error
    return None if told is None else (told, limits.workers, limits.tuning, how)


def _still_fits(known: _Fitted, limits: Limits) -> bool:
    unit, finer, share = _units(limits, known.kept)
    resident = known.resident <= limits.memory
    return (known.unit, known.finer) == (unit, finer) and known.cost <= share and resident


def _units(limits: Limits, kept: int) -> tuple[int, int, int]:
    """Bytes of an item: before and after results are counted; and what it may cost at most."""
    largest, workers = limits.tuning.unit, limits.workers
    unit = min(work_unit(limits.memory, workers, 1, largest), BLOCK_BYTES)
    # A few partial results shall not halve the units, which are powers of two.
    room = limits.memory if 64 * kept < limits.memory else max(limits.memory - kept, 0)
    finer = min(work_unit(room, workers, 1, largest), BLOCK_BYTES)
    # Room for each worker's block and the next one, which is brought in meanwhile.
    return unit, finer, max(room // (2 * workers), LEAF_BYTES)


def _fitted(roots: Sequence[Root], limits: Limits, options: Options | None) -> _Fitted:
    """Plan with units of work that fit the memory, and fuse."""
    unit, _, _ = _units(limits, 0)
    plan = lower(roots, unit)
    separate = options is None or options.scheduler == "processes"
    kept = kept_bytes(plan, separate)
    unit, finer, share = _units(limits, kept)
    cut = split_blocks(roots, plan, share)
    wanted = finer
    needed = resident_bytes(plan, limits.workers, separate)
    if needed <= limits.memory and finer == BLOCK_BYTES:
        most = max((sum(stage_bytes(stage)) for stage in plan.stages), default=0)
        wanted = max(finer, min(floor_power(max(most // (_ITEMS * limits.workers), 1)), _LARGEST))
    if cut is not roots or wanted != unit:
        plan = lower(cut, wanted)
    plan = _fused(plan, options)
    cost = max((item_cost(stage).total for stage in plan.stages), default=0)
    # What was cut to fit is cut anew for another memory.
    enough = cost if cut is roots else share + 1
    return _Fitted(plan, unit, finer, kept, enough, needed)


def _fused(plan: Plan, options: Options | None) -> Plan:
    """One loop for what goes together; block functions that may fail are each called for itself."""
    if options is None or options.fuse is False or options.on_error != "raise":
        return plan
    return fuse(plan, options.math, 0 if options.fuse else LEAST_BYTES)
