"""Writes the sentences of a result page as plain text; makes no HTML and draws nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oocarray.units import format_bytes

from .results import OURS, Cell, Results, Run, amount, say

__all__ = ["OUTCOMES", "facts", "glance", "how", "lead", "repeat", "score", "tip", "title_of"]

_TITLES = {
    "mean": "mean of all elements",
    "columns": "mean, std, min and max of each column",
    "map": "2x + 1 into a new array",
    "two-inputs": "a·b + 1 of two arrays into a new one",
    "transcendental": "mean of a formula with sin, cos and exp",
    "zscore": "(x - mean) / std by column into a new array",
    "update": "x *= 1.01 in place",
    "slices": "mean of a slice through a 3-D array",
    "zarr-to-zarr": "2x + 1 from a Zarr store into another",
}
_SHORT = {"two": "two-inputs", "slab": "slices", "zarr": "zarr-to-zarr"}
OUTCOMES = {
    "killed": "the kernel ended the process because it used more memory than the limit",
    "over": "it ended, but used more memory than the limit, so its time does not count",
    "failed": "it raised an error",
    "wrong": "its result differed from NumPy's, so its time does not count",
    "timeout": "it was stopped because it took too long",
    "missing": "the library was not installed on this machine",
    "n/a": "not applicable: the library has no way to do this work, or none that makes sense",
}
_HOW = {
    OURS: "the array's usual methods, no chunk size given; its memory budget is its default",
    "numpy-naive": "the line of NumPy that one writes first, on a memory-mapped file",
    "numpy-careful": "NumPy with a loop over blocks written by hand, on a memory-mapped file",
    "numexpr": "numexpr in a loop over blocks written by hand",
    "zarr": "zarr-python: a loop over bands of chunks, computed with NumPy",
    "tensorstore": "TensorStore reads and writes bands of a Zarr store, computed with NumPy",
    "blosc2": "Blosc2 lazy expressions on a memory-mapped file",
    "dask": "dask.array with the threaded scheduler; its tasks read and write blocks of files",
    "backend-dask": "oocarray's own line with backend=\"dask\", to be held against dask's",
    "dask-distributed": "dask.array on a LocalCluster that is already up",
    "cubed": "cubed with a Zarr store for what lies between its steps",
}
_SAME = {"numpy": "numpy-careful", "distributed": "dask-distributed"}


def title_of(case: str) -> str:
    """What a case does, in a few words; nothing where it is not known."""
    return _TITLES.get(_SHORT.get(case, case), "")


def how(rival: str) -> str:
    """How a rival does its work."""
    return _HOW.get(_SAME.get(rival, rival), "as its module in benchmarks/rivals has it")


def lead(results: Results) -> list[str]:
    """Three sentences: what was measured, under which limit, and how often."""
    machine, cases, rivals = results.machine, results.cases(), results.rivals()
    limit = f"at most {format_bytes(machine['memory'])} of memory" if machine.get("memory") else ""
    limit = limit or "all memory of the machine"
    ratio = ""
    if machine.get("memory") and machine.get("size", 0) > machine["memory"]:
        ratio = f", and the file is {machine['size'] / machine['memory']:.3g} times as large"
    rounds = machine.get("rounds", 1)
    what = (
        f"{_count(len(cases), 'kind')} of work on a file of {format_bytes(machine['size'])} were "
    )
    what += f"done with oocarray and in {_count(len(rivals) - 1, 'other way')}, here called rivals."
    where = f"Each ran in a process of its own with {limit} (beside what loaded libraries hold)"
    where += f"{ratio}: whatever does not fit must be read from and written to the disk in pieces."
    often = f"Each run was done {_count(rounds, 'time')}, first with none of the file in the page "
    often += 'cache ("cold") and then right again ("warm"), and each result was compared with the '
    often += "right one; figures are medians."
    return [what, where, often]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def facts(results: Results) -> list[tuple[str, str]]:
    """The machine, as names and values."""
    machine = results.machine

    def has(name: str) -> Any:
        return machine.get(name) or "unknown"

    versions = machine.get("versions") or {}
    return [
        ("processor", f"{has('cpu')}, {has('cores')} cores"),
        ("memory", f"{format_bytes(machine['ram'])}" if machine.get("ram") else "unknown"),
        ("disk", f"{has('disk')}, file system {has('filesystem')}"),
        ("kernel", f"Linux {has('kernel')}"),
        ("Python", str(has("python"))),
        ("libraries", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("commit", str(has("commit"))),
        ("begun", str(has("when")).replace("T", " ")),
        ("took", f"{results.end / 60:.0f} min" if results.end is not None else "did not end"),
    ]


def _nearest(results: Results) -> Iterator[tuple[str, Cell, tuple[str, Cell] | None]]:
    """Cases that oocarray did, cold where there are such runs, with the fastest other."""
    cells = results.cells("main")
    for case in results.cases():
        for state in ("cold", "warm"):
            ours = cells.get((case, OURS, state))
            if ours is None or ours.median("wall") is None:
                continue
            others = [
                (cell.median("wall"), name, cell)
                for (work, name, when), cell in cells.items()
                if work == case and when == state and name != OURS
            ]
            ended = [(wall, name, cell) for wall, name, cell in others if wall is not None]
            best = min(ended, key=lambda other: other[0])[1:] if ended else None
            yield case, ours, best
            break


def _verdict(ours: Cell, other: Cell) -> float:
    """Times as long as the other, 1 where the rounds overlap."""
    mine, theirs = ours.span("wall"), other.span("wall")
    ratio = (ours.median("wall") or 0) / (other.median("wall") or 1)
    if mine and theirs and mine[0] <= theirs[1] and theirs[0] <= mine[1]:
        return 1.0
    return ratio


def score(results: Results) -> str:
    """In how many cases oocarray is faster or slower than the fastest rival."""
    found = [_verdict(ours, best[1]) for _, ours, best in _nearest(results) if best]
    if not found:
        return "There is no case that both oocarray and a rival have done."
    faster, slower = sum(r < 1 for r in found), sum(r > 1 for r in found)
    same = len(found) - faster - slower
    return (
        f"Of {_count(len(found), 'kind')} of work, read from the disk, oocarray is faster than the "
        f"fastest rival in {faster}, slower in {slower}, and in {same} their rounds overlap."
    )


def glance(results: Results) -> list[tuple[str, str, str]]:
    """Case, its title and how oocarray does beside the fastest rival."""
    rows = []
    for case, ours, best in _nearest(results):
        state = ours.runs[0].state
        text = f"{say(ours, 'wall')} {state}"
        if best is None:
            text += "; no rival ended well"
        else:
            name, cell = best
            ratio = _verdict(ours, cell)
            text += f"; fastest rival {name}, {say(cell, 'wall')}: "
            if ratio == 1.0:
                text += "no clear difference"
            elif ratio < 1:
                text += f"oocarray is {amount(1 / ratio)} times as fast"
            else:
                text += f"oocarray takes {amount(ratio)} times as long"
        rows.append((case, title_of(case), text))
    return rows


def tip(cell: Cell, key: str = "wall") -> str:
    """All of a cell in one line, for who points at it."""
    run: Run = cell.runs[0]
    where = [run.rival, run.case, run.state, format_bytes(run.size)]
    if run.memory:
        where.append(f"limit {format_bytes(run.memory)}")
    if run.workers:
        where.append(_count(run.workers, "worker"))
    text = ", ".join(where) + f": {say(cell, key)}"
    span = cell.span(key)
    if span and len(cell.runs) > 1:
        unit = " s" if key in ("wall", "cpu") else ""
        ends = [amount(end) if unit else format_bytes(end) for end in span]
        text += f" ({ends[0]} to {ends[1]}{unit}, {_count(len(cell.values(key)), 'round')})"
    if cell.bad:
        text += f"; {len(cell.bad)} of {_count(len(cell.runs), 'round')} ended otherwise: "
        text += cell.bad[-1].message or cell.bad[-1].outcome
    return text


def repeat(results: Results) -> str:
    """The command that measures all of this again."""
    machine = results.machine
    options = [f"--size {format_bytes(machine['size']).replace(' ', '')}"]
    if machine.get("memory"):
        options.append(f"--memory {format_bytes(machine['memory']).replace(' ', '')}")
    if machine.get("quick"):
        options = ["--quick"]
    elif machine.get("rounds"):
        options.append(f"--rounds {machine['rounds']}")
    return f"python -m benchmarks {' '.join(options)} --out bench-results"
