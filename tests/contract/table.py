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
| reads and writes files | mapped, where they lie | mapped `.npy` files, and zarr-python | mapped `.npy` files, and zarr-python |
| runs on | processes, threads, or in this thread | dask's threads; with `scheduler="serial"` its synchronous scheduler | this thread |
| keeps to `memory=` | yes | no: dask decides | no: blocks that are needed at once are in memory |
| changes a file in place | yes | no | no |

The first is what the package is for. The others are there to be held against it: by tests, which
have every operation below give NumPy's answer by each, and by benchmarks. None calls another.

## How to choose one

```python
x.compute(backend="dask")  # this result
x.store("out.zarr", backend="zarr")  # this file

with oo.options(backend="dask"):  # all that is computed here
    ...
```

`OOCARRAY_BACKEND=dask` chooses one for a whole program. What a backend does not do it refuses, with
a `NotImplementedError` that names the function and the reason; none falls back on another.

## What a comparison means

```python
found = oo.compare(lambda x: x.mean(axis=0), "x.zarr")
print(found)  # a row per backend: seconds, memory, bytes, agreement
```

On the command line it is `oocarray compare`. Each run is a process of its own, so that time, memory
and bytes read are one backend's alone, and what it read before is dropped from the page cache (or,
with `cold=False`, brought in).

Dtypes and shapes are the same by all three, and so are integers, booleans, and whatever is only
moved, to the bit. Floats may differ where rounding does: our fused loops have elementary functions
of their own, within 2 units in the last place, and sums are added in another order by each, with
what follows from them (means, products of matrices). The tests allow a relative difference of 1e-12
in double precision, 1e-5 in single.

What a comparison does not say: dask makes a task of each block and function before it begins, which
costs most where blocks are small, and could be given a cluster; the loop of `"zarr"` uses one
processor, and reads again what neighbouring blocks share. Both are written as their libraries' own
manuals would. dask's blocks are of 32 MiB, with which it was faster than with its own 128; of 16 where
many operations follow each other or Zarr chunks are read; of less where a worker's share of the
memory does not hold four; and as dask's `array.chunk-size` says, where that is set.

A store that would change what the same run still reads is an `OverlapError` by each, before anything
is written; by dask also where only its order of tasks would decide.

## Arrays of dask

`x.to_dask()` is the same expression as a `dask.array.Array`, its blocks read where dask runs them;
`oo.from_array(d)` takes such an array, whose blocks dask computes when they are needed.

## What each one does

*Yes* means that `tests/contract` holds it against NumPy. Operators and methods of arrays stand
last. This page is what `python -m tests.contract.table --write` makes of the cases there.
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
