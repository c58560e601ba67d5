"""Asks how oocarray would do on large dask clusters: sweeps of simulated runs; it needs none.

``python -m benchmarks.scaling`` prints them; see `scaling_model` for what is simulated.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .scaling_model import INPUTS, read_inputs, rule, simulate

__all__ = ["read_inputs", "simulate", "sweep_stragglers", "sweep_tasks", "sweep_workers"]

_WORKERS = (1, 3, 10, 30, 100, 300, 1000)
_BLOCKS_PER_TASK = (1, 3, 10, 30, 100, 250, 500, 1000)
_STRAGGLERS: dict[str, dict[str, float]] = {
    "none, no skew": {"straggler_chance": 0, "pause_chance": 0, "block_skew": 0},
    "skew alone": {"straggler_chance": 0, "pause_chance": 0},
    "as the inputs have it": {},
    "1 % of workers 5 times as slow": {"straggler_chance": 0.01, "straggler_factor": 5},
    "10 % of workers 3 times as slow": {"straggler_chance": 0.1, "straggler_factor": 3},
    "1 % of tasks paused for 10 s": {"pause_chance": 0.01, "pause_seconds": 10},
}
Row = dict[str, float]


def sweep_workers(
    inputs: Mapping[str, float], blocks: int, workers: Sequence[int] = _WORKERS
) -> list[Row]:
    """More and more workers, with tasks as large as oocarray makes them."""
    return [_row(inputs, blocks, count, rule(inputs, blocks, count)) for count in workers]


def sweep_tasks(
    inputs: Mapping[str, float],
    blocks: int,
    workers: int,
    sizes: Sequence[int] = _BLOCKS_PER_TASK,
) -> list[Row]:
    """Larger and larger tasks, with the same workers."""
    return [_row(inputs, blocks, workers, size) for size in sizes if size <= blocks]


def sweep_stragglers(inputs: Mapping[str, float], blocks: int, workers: int) -> dict[str, Row]:
    """Better and worse luck, with as many workers and tasks as large as oocarray makes them."""
    size = rule(inputs, blocks, workers)
    return {
        name: _row({**inputs, **changed}, blocks, workers, size)
        for name, changed in _STRAGGLERS.items()
    }


def _row(inputs: Mapping[str, float], blocks: int, workers: int, size: int) -> Row:
    found = simulate(inputs, blocks, workers, size)
    return {"workers": float(workers), "blocks_per_task": float(size), **found}


def _changed(inputs: dict[str, float], settings: Sequence[str]) -> dict[str, float]:
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in inputs:
            raise ValueError(f"--set {setting}: the inputs are {', '.join(inputs)}")
        inputs[name] = float(value)
    return inputs


def main(arguments: list[str] | None = None) -> int:
    """Print both sweeps; measure inputs or check the model if asked to."""
    from .scaling_show import draw, show, show_inputs

    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--inputs", type=Path, default=INPUTS, help="file of inputs")
    parser.add_argument("--blocks", type=float, default=1e6, help="of the stage: %(default)g")
    parser.add_argument("--workers", type=int, default=1000, help="at most: %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="INPUT=VALUE")
    parser.add_argument("--png", type=Path, help="draw the sweeps there")
    parser.add_argument("--measure", action="store_true", help="measure inputs on this machine")
    parser.add_argument("--check", action="store_true", help="compare with real local clusters")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.measure:
            from .scaling_measure import measure

            measure(chosen.inputs)
        inputs = _changed(read_inputs(chosen.inputs), chosen.set)
        if chosen.check:
            from .scaling_measure import check

            return check(inputs)
        show_inputs(chosen.inputs, inputs)
        if chosen.measure:
            return 0
        blocks = int(chosen.blocks)
        counts = sorted({*(w for w in _WORKERS if w < chosen.workers), chosen.workers})
        by_workers = sweep_workers(inputs, blocks, counts)
        by_tasks = sweep_tasks(inputs, blocks, chosen.workers)
        free = {**inputs, "disk_bytes_per_second": math.inf}
        undisturbed = sweep_tasks(free, blocks, chosen.workers)
        by_luck = sweep_stragglers(free, blocks, chosen.workers)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{chosen.inputs}: {error}", file=sys.stderr)
        return 2
    chosen_size = rule(inputs, blocks, chosen.workers)
    show(f"{blocks:,} blocks by workers, tasks as oocarray cuts them", by_workers, 0)
    show(f"{blocks:,} blocks on {chosen.workers} workers by size of task", by_tasks, chosen_size)
    title = f"{blocks:,} blocks on {chosen.workers} workers by size of task, were the disk shared "
    show(title + "by nobody", undisturbed, chosen_size)
    title = f"{blocks:,} blocks on {chosen.workers} workers by stragglers, were the disk shared "
    show(title + "by nobody", list(by_luck.values()), 0, list(by_luck))
    if chosen.png:
        draw(chosen.png, by_workers, by_tasks, chosen_size)
        print(chosen.png)
    return 0


if __name__ == "__main__":
    sys.exit(main())
