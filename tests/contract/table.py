"""Prints docs/backends.md, or writes it with --write; its table is made of the cases."""

from __future__ import annotations

import sys
from pathlib import Path

from .everything import BACKENDS, CASES, refusal
from .refused import IN_PLACE, IN_PLACE_WORDS

AGAIN = "python -m tests.contract.table --write"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "backends.md"
# ruff: noqa: E501  (rows of a table are one line)
INTRO = """# Backends

Three ways to compute the same expression, so that results and times can be compared:

| | `"mapped"` (default) | `"dask"` | `"zarr"` |
|---|---|---|---|
| what it is | this package | the expression, built again of the functions of `dask.array` that one would write by hand | a loop over the blocks of the result, with zarr-python and NumPy |
| reads and writes files | mapped, where they lie | `.npy` mapped, or read where a file exceeds half of `memory=`, and written by `pwrite`; Zarr by zarr-python | `.npy` by `numpy.memmap`, Zarr by zarr-python |
| other formats | mapped or decoded | read by this package | read by this package |
| runs on | processes, threads, this thread, or a [cluster](schedulers.md) | dask's threads; with `scheduler="serial"` its synchronous scheduler; a cluster | this thread, whatever `scheduler=` and `workers=` say |
| keeps to `memory=` | yes | no: it decides how large blocks are, and dask how many are held at once | no: blocks that are needed at once are in memory |
| changes a file in place | yes | stores other values into it; nothing that is made, element by element, of what it overwrites | the same |
| locks the files that it writes | yes | no | no |
| leaves the page cache as it was | yes | no | no |

The first is what the package is for. The others are there to be held against it: by tests, which
have every operation below give NumPy's answer by each, and by benchmarks. None evaluates by another,
but not all code differs: `"zarr"` goes by our plan and the arithmetic of our operations, and `"dask"`
by that of a few which dask lacks.

## How to choose one

```python
x.compute(backend="dask")  # this result
x.store("out.zarr", backend="zarr")  # this file

with oo.options(backend="dask"):  # all that is computed here
    ...
```

`OOCARRAY_BACKEND=dask` chooses one for a whole program. What a backend does not do it refuses, with
a `NotImplementedError` that names the function and the reason; none falls back on another.

A new Zarr array is laid out as its backend does it best: by ours in shards, by the others in chunk
files. To compare times of like with like, say `chunks=` and `shards=False` to all of them.

`durability=` means the same to all, and a new file appears complete or not at all. `on_error="skip"`
and `"fill"` are ours alone, and refused by the others; `lock=`, `drop=`, `progress=`, `fuse=`, `math=`
and `tuning=` say nothing to them.

## What a comparison means

```python
found = oo.compare(lambda x: x.mean(axis=0), "x.zarr")
print(found)  # a row per backend: seconds, memory, bytes, agreement
```

On the command line it is [`oocarray compare`](command-line.md). Each run is a process of its own, so
that time, memory and bytes are one backend's alone. Before it the inputs are dropped from the page
cache, or brought into it with `cold=False`. Results are held against those of the first backend that
has any. A backend that cannot do it, raises or is killed is a row that says so.

Dtypes and shapes are the same by all three, and so are integers, booleans, and whatever is only
moved, to the bit. Floats may differ where rounding does: our fused loops have elementary functions
of their own, within 2 units in the last place, and sums are added in another order by each, with
what follows from them (means, products of matrices). The tests allow a relative difference of 1e-12
in double precision, 1e-5 in single.

What a comparison does not say: dask makes a task of each block and function before it begins, which
costs most where blocks are small, and could be given a cluster (`scheduler=client`); the loop of
`"zarr"` uses one processor, and reads again what neighbouring blocks share. Both are written as their
libraries' own manuals would.

Where nobody set blocks, those of dask have 32 MiB, with which it was faster than with its own 128;
16 MiB where a result has more than three elementwise operations, or where an array in pieces is read
(Zarr, chunks of HDF5, many files as one); less, down to 4 MiB, where four of them exceed a thread's
share of `memory=`; twice as much where a slice of a plain file has gaps. Where dask's
`array.chunk-size` is set to anything but its default of 128 MiB, that is used instead.

What one store makes of other elements of its own target is computed first. Where something else of
the same run has yet to read what a store changes, each backend raises `OverlapError` before it
writes anything; dask's also where only the order in which dask runs its tasks would save the data.

## Arrays of dask

`x.to_dask()` is the same expression as a `dask.array.Array`, its blocks read where dask runs them;
`oo.from_array(d)` takes such an array, whose blocks dask computes when they are needed. Workers of a
cluster must see the files under the same paths. `from_array` refuses blocks of unknown size
(`ValueError`), blocks that are no NumPy arrays (`TypeError`), and what was persisted on a cluster
(`NotImplementedError`); a task that several blocks need is computed for each of them.

## What each one does

*Yes* means that `tests/contract` holds it against NumPy. Operators and methods of arrays stand
last; `Array.__iadd__` and the like are those of expressions there. This page is what `python -m tests.contract.table --write` makes of the cases there.
"""


def rows() -> list[str]:
    """One row for each operation, in the order of names."""
    found = []
    for operation in sorted({case.operation for case in CASES}, key=_order):
        cells = [_cell(operation, backend) for backend in BACKENDS]
        found.append(f"| `{operation}` | {' | '.join(cells)} |")
    return found


def _order(operation: str) -> tuple[bool, bool, str]:
    return operation.startswith("Array."), "__" in operation, operation


def _cell(operation: str, backend: str) -> str:
    """What a backend does with all cases of an operation."""
    cases = [case for case in CASES if case.operation == operation]
    refused = [(case.text, why) for case in cases if (why := refusal(case, backend))]
    if not refused:
        return "yes"
    if len(refused) == len(cases):
        return "; ".join(dict.fromkeys(why for _, why in refused))
    return "yes, but not " + "; ".join(f"`{text}`: {why}" for text, why in refused)


def _changes() -> list[str]:
    """What test_writing does to files that exist."""
    found = ["| change | " + " | ".join(BACKENDS) + " |", "|---|" + "---|" * len(BACKENDS)]
    for change, words in IN_PLACE_WORDS.items():
        cells = [
            IN_PLACE.get((change, backend), IN_PLACE.get((f"{change}, zarr", backend), "yes"))
            for backend in BACKENDS
        ]
        found.append(f"| {words} | {' | '.join(cells)} |")
    return found


def page() -> str:
    """The whole page."""
    head = ["| operation | " + " | ".join(BACKENDS) + " |", "|---|" + "---|" * len(BACKENDS)]
    changed = ["", "Changes of a file in place:", "", *_changes()]
    return INTRO + "\n" + "\n".join([*head, *rows(), *changed]) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
