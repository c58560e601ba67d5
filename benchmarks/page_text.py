"""Writes the sentences of a result page as plain text; makes no HTML and draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from oocarray.units import format_bytes, parse_bytes

from .results import LONE, OURS, OWN, Cell, Results, Run, amount, say

__all__ = [
    "DAGGER",
    "OUTCOMES",
    "dagger",
    "facts",
    "glance",
    "how",
    "lead",
    "repeat",
    "score",
    "tip",
    "title_of",
]

DAGGER = "†"
"""At the figure of a run that ended well, but not without something to tell."""

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
    "wrong": "its result was not right, so its time does not count",
    "timeout": "it was stopped because it took too long",
    "missing": "the library was not installed on this machine",
    "n/a": "not entered here: no code was written for this work with this library",
}
_HOW = {
    OURS: "the array's usual methods, no chunk size given; its memory budget is half of the limit",
    "numpy-naive": "the line of NumPy that one writes first, on a memory-mapped file; one thread",
    "numpy-careful": "NumPy in one thread, with a loop over blocks written by hand, on a "
    "memory-mapped file",
    "numexpr": "numexpr, with its own threads, in a loop over blocks written by hand",
    "zarr": "zarr-python reads and writes bands of chunks, which a pool of threads computes with "
    "NumPy",
    "tensorstore": "TensorStore reads and writes bands of chunks of a Zarr store, which a pool of "
    "threads computes with NumPy",
    "blosc2": "Blosc2 lazy expressions, with its own threads, on a memory-mapped file",
    "dask": "dask.array with the threaded scheduler; its tasks read and write blocks of files",
    "backend-dask": "oocarray's own line with backend=\"dask\", to be held against dask's",
    "dask-distributed": "dask.array on a LocalCluster that is already up",
    "cubed": "cubed on threads, with a Zarr store for what lies between its steps",
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
    machine, cases = results.machine, results.cases()
    rivals = {run.rival for run in results.done} - set(OWN)
    what = _count(len(cases), "kind") + " of work on a file of "
    what += f"{format_bytes(machine['size'])} {'was' if len(cases) == 1 else 'were'} done with "
    what += OURS + (f" and in {_count(len(rivals), 'other way')}" if rivals else "")
    what += {0: ".", 1: ", here called its rival."}.get(len(rivals), ", here called rivals.")
    return [what, f"Each ran in a process of its own {_limit(results)}.", _often(results)]


def _limit(results: Results) -> str:
    memory, size = results.machine.get("memory"), results.machine["size"]
    if not memory:
        return "with all memory of the machine"
    limited = {run.memory is not None for run in results.done}
    if limited == {False}:
        return (
            f"and was to use at most {format_bytes(memory)} of memory, but no limit could be "
            "set: all free memory could serve as page cache, in which Linux keeps parts of files"
        )
    text = f"with at most {format_bytes(memory)} of memory, beside what loaded libraries hold. The "
    text += "page cache, in which Linux keeps parts of files, counts as memory"
    if False in limited:
        text += "; some of the runs had no limit, as none could be set"
    if size > memory:
        text += f". The file is {size / memory:.3g} times as large: what does not fit must be read "
        text += "from and written to the disk in pieces"
    return text


def _often(results: Results) -> str:
    cells = {key: cell for key, cell in results.cells("main").items() if cell.outcome == "ok"}
    if not cells:
        return "No run has ended well."
    counts = sorted(len(cell.runs) for cell in cells.values())
    times = f"{counts[-1]} times" if counts[-1] > 1 else "once"
    if counts[0] < counts[-1]:
        times = f"{counts[0]} to {times}"
    warm = sum(state == "warm" for _, _, state in cells)
    text = f"Each run was done {times}, {'first ' if warm else ''}with none of the file in the "
    text += 'page cache ("cold")'
    if warm:
        part = ", in part of the work," if 2 * warm < len(cells) else ""
        text += f' and then{part} once more at once ("warm")'
    text += ", and each result was compared with the right one"
    return text + ("; figures are medians." if counts[-1] > 1 else ".")


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
        ("took", _took(results)),
    ]


def _took(results: Results) -> str:
    if results.end is None:
        return "did not end"
    return f"{results.end / 60:.0f} min" + (", then stopped" if results.interrupted else "")


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
                if work == case and when == state and name not in OWN
            ]
            ended = [(wall, name, cell) for wall, name, cell in others if wall is not None]
            best = min(ended, key=lambda other: other[0])[1:] if ended else None
            yield case, ours, best
            break


def _verdict(ours: Cell, other: Cell) -> float:
    """Times as long as the other, 1 where the rounds overlap or too few tell how they spread."""
    mine, theirs = ours.span("wall"), other.span("wall")
    ratio = (ours.median("wall") or 0) / (other.median("wall") or 1)
    if mine and theirs and mine[0] <= theirs[1] and theirs[0] <= mine[1]:
        return 1.0
    lone = min(len(ours.values("wall")), len(other.values("wall"))) < 2
    return 1.0 if lone and 1 / (1 + LONE) < ratio < 1 + LONE else ratio


def score(results: Results) -> str:
    """In how many cases oocarray is faster or slower than the fastest rival."""
    found = [
        _verdict(ours, best[1])
        for _, ours, best in _nearest(results)
        if best and ours.runs[0].state == "cold"
    ]
    if not found:
        return "There is no case that both oocarray and a rival have read from the disk."
    faster, slower = sum(r < 1 for r in found), sum(r > 1 for r in found)
    same = len(found) - faster - slower
    return (
        f"Of {_count(len(found), 'kind')} of work, read from the disk, oocarray is faster than the "
        f"fastest rival in {faster}, slower in {slower}; in {same} there is no clear difference: "
        f"rounds overlap or, where there was one alone, differ by less than {LONE:.0%}."
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
    return "; ".join([text, *cell.remarks])


def dagger(cell: Cell | None) -> str:
    """A mark, where rounds that ended well have something to tell."""
    return f" {DAGGER}" if cell and cell.remarks else ""


def repeat(results: Results) -> str:
    """The command that measures all of this again, as far as the file tells how it was run."""
    machine = results.machine
    written: dict[str, Callable[[Any], str]] = {
        **dict.fromkeys(("size", "memory"), _exactly),
        **dict.fromkeys(("cases", "rivals", "sweeps"), lambda names: ",".join(names) or "none"),
        **dict.fromkeys(("rounds", "workers", "minutes"), "{:g}".format),
    }
    options = ["--quick"] if machine.get("quick") else []
    options += [
        f"--{name} {write(machine[name])}"
        for name, write in written.items()
        if machine.get(name) is not None
    ]
    return f"python -m benchmarks {' '.join(options)} --out bench-results"


def _exactly(size: int) -> str:
    """A size that reads as the same number of bytes again."""
    text = format_bytes(size).replace(" ", "")
    return text if parse_bytes(text) == size else str(size)
