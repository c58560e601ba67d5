"""Cases of small blocks: what each costs beside its work, and what a plan of many costs."""

from __future__ import annotations

import math
from typing import Any

from ..data import Data
from .records import MIB, Case, Contestant, Fresh, Settings, Target

__all__ = ["cases", "targets"]

# The high-water mark is set back before, so that what imports needed does not hide what we need.
_PLAN = """
import json, os, sys, time
import oocarray as oo

def status(name):
    with open("/proc/self/status") as stream:
        return next(int(row.split()[1]) for row in stream if row.startswith(name)) * 1024

@oo.kernel
def first(out, x):
    out[0] = x[0]

def plan(blocks):
    x = oo.open(sys.argv[1], shape=(512 * blocks,), dtype="f8", chunks=512)
    y = oo.map_blocks(first, x, chunks=(1,), dtype="f8")
    return y.explain(memory="256 MiB", workers=2)

plan(10)
try:
    with open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")
except OSError:
    sys.exit("the high-water mark of memory cannot be set back here")
before, begin = status("VmRSS"), time.perf_counter()
text = plan(int(sys.argv[2]))
seconds, growth = time.perf_counter() - begin, status("VmHWM") - before
assert f"{int(sys.argv[2]):,} blocks" in text, text
print(json.dumps({"seconds": seconds, "growth": growth}))
"""


def cases(settings: Settings) -> list[Case | Fresh]:
    """One element of each block of 4 KiB of a cached array; and a plan that is not run."""

    ours = f"processes x{settings.workers}"

    def who(label: str, module: str, scheduler: str, blocks: int, workers: int) -> Contestant:
        return Contestant(
            label,
            module,
            workers=workers,
            scheduler=scheduler,
            arguments={"blocks": blocks},
            items=blocks,
            beside="" if label == ours else ours,
        )

    count, workers = settings.blocks, settings.workers
    few = max(count // 10, 1)
    return [
        Case(
            "overhead",
            "overhead",
            "overhead",
            f"{count:,} blocks of 4 KiB, an element of each",
            (
                who(ours, "ours", "processes", count, workers),
                who("serial", "ours", "serial", count, workers),
                who("dask threads", "dask_zarr", "threads", few, workers),
                who("numba loop", "bare_loop", "threads", count, 1),
            ),
            _same_firsts,
            reads="part",
            first=1,
            keeps=True,
            counted=False,
        ),
        Fresh(
            "plan",
            "overhead",
            f"plan of {settings.planned:,} blocks, not run",
            {"oocarray": _PLAN},
            ("sparse", str(settings.planned)),
        ),
    ]


def targets(settings: Settings) -> list[Target]:
    """Microseconds per block, and what a plan of many may take."""
    per_block = {"key": "us_per_item", "most": True, "unit": "us"}
    return [
        Target(
            "overhead",
            f"per block, {settings.workers} processes",
            25.0,
            f"processes x{settings.workers}",
            **per_block,
        ),
        Target("overhead", "per block, serial", 15.0, "serial", **per_block),
        Target("plan", "to build it", 1.0, "oocarray", most=True, unit="s"),
        Target("plan", "memory grows by", 100 * MIB, "oocarray", "growth", most=True, unit="B"),
    ]


def _same_firsts(data: Data, found: list[float], _: Any) -> str:
    """Compare the sum of the blocks' first elements."""
    count, total = int(found[0]), found[1]
    expected = data.sum_of_firsts(count)
    if math.isclose(total, expected, rel_tol=1e-9):
        return ""
    return f"the sum of {count:,} first elements is {expected!r}, not {total!r}"
