"""The contract of operations: any region, made of what its reach promises; checks, no tests."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from oocarray.operations.base import Arguments, Operation, extents, whole

Array = np.ndarray[Any, Any]


def check_operation(operation: Operation, arrays: Sequence[Array], expected: Array) -> None:
    """Make the whole, and many regions, of arguments that are unreadable outside the reach."""
    shapes = tuple(array.shape for array in arrays)
    dtypes = tuple(array.dtype for array in arrays)
    assert tuple(operation.shape(shapes)) == expected.shape
    dtype = operation.dtype(dtypes)
    assert dtype == expected.dtype
    again = pickle.loads(pickle.dumps(operation))
    assert hash(operation) == hash(operation)
    for region in regions_of(expected.shape):
        if 0 in extents(region):
            continue
        wanted = expected[region]
        # Of arguments that lie there already more may be pulled, as views.
        for op, out, there in (
            (operation, None, frozenset[int]()),
            (again, np.full(wanted.shape, 1, dtype), frozenset[int]()),
            (operation, None, frozenset(range(len(arrays)))),
        ):
            pull = _Pull(op, arrays, shapes, region, there)
            args = Arguments(shapes, dtypes, dtype, pull, there)
            with np.errstate(all="ignore"):
                found = op.make(region, args, out)
            assert found is out or found.dtype == dtype, (found.dtype, dtype)
            assert found.shape == wanted.shape, (region, found.shape, wanted.shape)
            np.testing.assert_array_equal(found, wanted)
    check_reach(operation, shapes, expected.shape)


def check_reach(operation: Operation, shapes: Sequence[tuple[int, ...]], shape: Any) -> None:
    """Regions are slices of step 1 inside the argument; larger ones need more."""
    for k, own in enumerate(shapes):
        reach = operation.reach(k, shapes)
        if reach is None:
            assert tuple(own) == tuple(shape)
            continue
        assert pickle.loads(pickle.dumps(reach)) == reach
        assert hash(reach) == hash(reach)
        everything = _mask(own, reach.regions(whole(shape)))
        for region in regions_of(shape):
            if 0 in extents(region):
                continue
            for part in reach.regions(region):
                assert len(part) == len(own)
                for piece, extent in zip(part, own, strict=True):
                    assert piece.step in (None, 1)
                    assert 0 <= piece.start <= piece.stop <= extent
            assert not (_mask(own, reach.regions(region)) & ~everything).any()


def regions_of(shape: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """The whole, and parts at the beginning, in the middle and at the end."""
    axes = []
    for n in shape:
        cuts = {(0, n), (0, min(max(n // 2, 1), n)), (n // 3, n - n // 3), (max(n - 1, 0), n)}
        axes.append([slice(a, b) for a, b in sorted(cuts) if a < b] or [slice(0, 0)])
    found = list(itertools.product(*axes))
    yield tuple(slice(0, n) for n in shape)
    step = max(len(found) // 60, 1)
    yield from found[::step]


class _Pull:
    """Regions of arguments; anything outside the reach of `region` is refused."""

    def __init__(
        self, operation: Operation, arrays: Any, shapes: Any, region: Any, there: frozenset[int]
    ) -> None:
        self.arrays, self.allowed, self.there = arrays, [], there
        for k, own in enumerate(shapes):
            reach = operation.reach(k, shapes)
            self.allowed.append(_mask(own, [region] if reach is None else reach.regions(region)))

    def __call__(self, k: int, region: tuple[slice, ...]) -> Array:
        assert all(part.step in (None, 1) for part in region), region
        assert k in self.there or np.all(self.allowed[k][region]), (
            f"argument {k}: {region} is outside the reach"
        )
        block = np.array(self.arrays[k][region] if region else self.arrays[k])
        block.flags.writeable = False
        return block


def _mask(shape: Sequence[int], regions: Any) -> Array:
    mask = np.zeros(shape, bool)
    for region in regions:
        mask[region] = True
    return mask
