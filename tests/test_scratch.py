"""Memory that blocks are made in again and again; each way to keep a block is tried here."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray.estimate import item_cost
from oocarray.plan import Stage
from oocarray.runtime import evaluate
from oocarray.runtime.engine import Engine
from oocarray.runtime.scratch import SMALL, Scratch

SCHEDULERS = ("serial", "threads", "processes")
F8 = np.dtype("f8")
SHAPE, CUT = (700, 1000), 64
"""Ten blocks of 500 KiB, and a last one of 468 KiB."""
BLOCK = CUT * SHAPE[1] * 8
Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def _serial() -> Iterator[None]:
    with oo.options(scheduler="serial", workers=2, progress=False):
        yield


@pytest.fixture(params=SCHEDULERS)
def anywhere(request: pytest.FixtureRequest) -> Iterator[None]:
    with oo.options(scheduler=request.param, workers=2):
        yield


@pytest.fixture(params=["serial", "threads"])
def here(request: pytest.FixtureRequest) -> Iterator[None]:
    with oo.options(scheduler=request.param, workers=2):
        yield


@pytest.fixture(params=[True, False], ids=["fused", "unfused"])
def either_way(request: pytest.FixtureRequest) -> Iterator[None]:
    with oo.options(fuse=request.param):
        yield


class Watched(Scratch):
    """Remembers all that were made, and how much each held at most."""

    every: list[Watched]

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self.every.append(self)

    def take(self, *args: Any, **kwargs: Any) -> Any:
        block = super().take(*args, **kwargs)
        self.most = max(self.most, self.nbytes)
        return block


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    monkeypatch.setattr(Watched, "every", [], raising=False)
    monkeypatch.setattr(evaluate, "Scratch", Watched)
    return Watched.every


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[Stage]:
    """The stages that engines of this process have worked on."""
    found: list[Stage] = []
    bind = Engine.bind

    def binding(self: Engine, program: Any) -> None:
        found.append(replace(self.stage, kernel=program))
        bind(self, program)

    monkeypatch.setattr(Engine, "bind", binding)
    return found


@oo.kernel
def twice(out: Any, x: Any) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] * 2


@oo.kernel
def positive(out: Any, x: Any) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            if x[i, j] > 500_000:
                out[i, j] = x[i, j]


def np_twice(x: Any) -> Any:
    return x * 2


def same(x: Any) -> Any:
    return x


def total_of(x: Any) -> Any:
    return x.sum(axis=0)


def opened(npy: Make, order: str = "C", dtype: str = "f8") -> tuple[Any, Any]:
    path = npy(SHAPE if order == "C" else SHAPE[::-1], order=order, dtype=dtype)
    return oo.open(path, chunks=(CUT, -1) if order == "C" else (-1, CUT)), np.load(path)


# The object by itself


def address(block: Any) -> int:
    return int(block.ctypes.data)


def test_small_blocks_and_objects_are_fresh() -> None:
    scratch = Scratch()
    assert scratch.take((SMALL // 8 - 1,), F8).base is None
    assert scratch.take((SMALL,), np.dtype(object)).base is None
    assert scratch.take((SMALL,), np.dtype([("a", "f8"), ("b", object)])).base is None
    assert scratch.take((0, SMALL), F8).shape == (0, SMALL)
    assert scratch.take((), F8, zeros=True) == 0
    assert (scratch.made, scratch.nbytes) == (0, 0)
    assert scratch.take((SMALL // 8,), F8).base is not None
    assert (scratch.made, scratch.nbytes) == (1, SMALL)


@pytest.mark.parametrize("dtype", ["f8", ">f8", "u1", "c16", "M8[s]", "S3", "i4,u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_are_ordinary_arrays(dtype: str, order: Any) -> None:
    scratch, kind = Scratch(), np.dtype(dtype)
    block = scratch.take((300, 400), kind, order, zeros=True)
    assert (block.shape, block.dtype) == ((300, 400), kind)
    assert block.strides == np.empty((300, 400), kind, order).strides
    assert address(block) % 64 == 0
    assert block.flags.writeable
    assert block.flags.aligned
    assert (block == np.zeros((), kind)).all()


def test_reused_memory_holds_zeros_where_they_are_asked_for() -> None:
    scratch = Scratch()
    scratch.take((100, 200), F8)[...] = np.nan
    block = scratch.take((90, 200), F8, "F", most=20_000, zeros=True)
    assert scratch.made == 1
    assert not block.any()


KEPT: dict[str, Callable[[Any], Any]] = {
    "itself": lambda block: block,
    "a view": lambda block: block[:1],
    "a view of a view": lambda block: block[::2].T.view("u8")[1:],
    "a subclass": lambda block: block.view(np.matrix),
    "a masked array": lambda block: np.ma.masked_less(block, 0, copy=False)[1:],
    "a memoryview": memoryview,
    "its buffer": lambda block: np.frombuffer(block, "u1"),
    "a broadcast view": lambda block: np.broadcast_to(block[:1], (2, 200)),
    "an iterator": lambda block: block.flat,
    "by dlpack": np.from_dlpack,
    "a frame": lambda block: lambda: block,
    "a circle": lambda block: (circle := [block], circle.append(circle)) and circle,
}


@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT.keys())
def test_kept_memory_is_not_lent_again(keep: Callable[[Any], Any]) -> None:
    scratch = Scratch()
    block = scratch.take((100, 200), F8)
    place = address(block)
    kept = keep(block)
    del block
    assert address(scratch.take((100, 200), F8)) != place  # within the item
    scratch.new_item()
    assert scratch.nbytes == 160_000  # it is left to whoever keeps it
    others = [scratch.take((100, 200), F8) for _ in range(3)]
    assert place not in map(address, others)
    assert kept is not None


@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT.keys())
def test_memory_is_lent_again_when_the_last_has_let_go(keep: Callable[[Any], Any]) -> None:
    scratch = Scratch()
    block = scratch.take((100, 200), F8)
    place = address(block)
    kept = keep(block)
    del block, kept
    gc.collect()
    assert address(scratch.take((100, 200), F8)) == place
    scratch.new_item()
    assert address(scratch.take((100, 200), F8)) == place
    assert scratch.made == 1


def test_no_two_blocks_lie_in_the_same_memory() -> None:
    scratch = Scratch()
    for _ in range(3):
        blocks = [scratch.take((100, 200), F8) for _ in range(5)]
        for number, block in enumerate(blocks):
            block[...] = number
        assert [block.max() for block in blocks] == list(range(5))
        del block, blocks
        scratch.new_item()
    assert scratch.made == 5


def test_only_what_one_item_uses_is_kept() -> None:
    scratch = Scratch()
    for rows, held in ((100, 160_000), (200, 320_000), (90, 144_000)):
        assert scratch.take((rows, 200), F8) is not None
        scratch.new_item()
        assert scratch.nbytes == held
        scratch.new_item()  # the last item of a task is forgotten before the next begins
        assert scratch.nbytes == held
    scratch.close()
    assert scratch.nbytes == 0


def test_blocks_at_the_edge_lie_in_the_memory_of_the_others() -> None:
    scratch = Scratch()
    for rows in (100, 7, 100, 1):
        assert scratch.take((rows, 200), F8, most=20_000).shape == (rows, 200)
        scratch.new_item()
    assert (scratch.made, scratch.nbytes) == (1, 160_000)


# What runs make with it


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_kernel_between_operations(
    npy: Make, anywhere: None, either_way: None, order: str
) -> None:
    x, a = opened(npy, order=order)
    made = oo.map_blocks(twice, x + 1)
    np.testing.assert_allclose(made.sum().compute(), ((a + 1) * 2).sum(), rtol=1e-12)
    np.testing.assert_array_equal((made - 3).compute(), (a + 1) * 2 - 3)
    np.testing.assert_allclose((made - 3).sum(axis=0).compute(), ((a + 1) * 2 - 3).sum(axis=0))


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_function_between_operations(
    npy: Make, tmp_path: Path, anywhere: None, either_way: None, order: str
) -> None:
    x, a = opened(npy, order=order)
    (oo.map_blocks(np_twice, x * 2) + x).store(tmp_path / "out.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), a * 2 * 2 + a)


def test_what_a_kernel_leaves_out_is_zero(npy: Make, anywhere: None, either_way: None) -> None:
    x, a = opened(npy)
    made = (oo.map_blocks(positive, x * 1000) + 1).compute()
    np.testing.assert_array_equal(made, np.where(a * 1000 > 500_000, a * 1000, 0) + 1)


@pytest.mark.parametrize("function", [same, lambda x: x[:], lambda x: x.view()])
def test_functions_that_return_their_argument(
    npy: Make, anywhere: None, either_way: None, function: Any
) -> None:
    x, a = opened(npy)
    first = oo.map_blocks(function, x + 1, dtype="f8")
    second = oo.map_blocks(twice, first)
    third = oo.map_blocks(np.subtract, second + 1, first, dtype="f8")
    plain, both, total = oo.compute(first, third, (third + first).sum())
    np.testing.assert_array_equal(plain, a + 1)
    np.testing.assert_array_equal(both, (a + 1) * 2 + 1 - (a + 1))
    np.testing.assert_allclose(total, ((a + 1) * 2 + 1).sum())


def test_two_outputs(npy: Make, anywhere: None, either_way: None) -> None:
    @oo.kernel
    def halves(low: Any, high: Any, x: Any) -> None:
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                low[i, j] = x[i, j] - 1
                high[i, j] = x[i, j] + 1

    x, a = opened(npy)
    low, high = oo.map_blocks.options(nout=2)(halves, x * 2)
    product, total, stored = oo.compute(low * high, (high - low).sum(), high)
    np.testing.assert_array_equal(product, (a * 2 - 1) * (a * 2 + 1))
    np.testing.assert_allclose(total, ((a * 2 + 1) - (a * 2 - 1)).sum())
    np.testing.assert_array_equal(stored, a * 2 + 1)


def test_other_byte_order(npy: Make, anywhere: None, either_way: None) -> None:
    x, a = opened(npy, dtype=">f8")
    np.testing.assert_array_equal((oo.map_blocks(twice, x) + 1).compute(), a * 2 + 1)


def test_blocks_that_are_joined(npy: Make, anywhere: None, either_way: None) -> None:
    x, a = opened(npy)
    made = oo.map_blocks(twice, x + 1)
    for joined, expected in ((made, (a + 1) * 2), (made - 1, (a + 1) * 2 - 1)):
        turned = oo.map_blocks(lambda x: x[::-1].sum(axis=0), joined, drop_axis=0, dtype="f8")
        np.testing.assert_allclose(turned.compute(), expected.sum(axis=0))


def test_a_block_that_could_not_be_made(npy: Make, anywhere: None, either_way: None) -> None:
    def picky(x: Any, block_id: Any) -> Any:
        if block_id[0] % 3 == 1:
            raise ValueError("not this one")
        return x

    x, a = opened(npy)
    made = oo.map_blocks(picky, oo.map_blocks(twice, x + 1) + 1, dtype="f8")
    with pytest.warns(oo.FailedBlocksWarning):
        got = made.compute(on_error="fill", fill_value=-1.0)
    expected = (a + 1) * 2 + 1
    for block in range(1, -(-SHAPE[0] // CUT), 3):
        expected[block * CUT : (block + 1) * CUT] = -1
    np.testing.assert_array_equal(got, expected)


# Who keeps a block, keeps it


@pytest.mark.parametrize("view", [same, lambda x: x[3:, ::7], lambda x: memoryview(x)])
def test_a_function_may_keep_what_it_gets(
    npy: Make, here: None, either_way: None, view: Callable[[Any], Any]
) -> None:
    kept: list[tuple[Any, Any]] = []

    def keeping(x: Any) -> Any:
        kept.append((view(x), np.array(view(x))))
        return x * 2

    x, a = opened(npy)
    total = (oo.map_blocks(keeping, oo.map_blocks(twice, x + 1) + 1, dtype="f8") + 1).sum()
    np.testing.assert_allclose(total.compute(), (((a + 1) * 2 + 1) * 2 + 1).sum())
    assert len(kept) == 11
    for block, then in kept:
        np.testing.assert_array_equal(np.asarray(block), then)


def test_a_function_may_keep_what_it_filled(npy: Make, here: None, either_way: None) -> None:
    kept: list[tuple[Any, Any]] = []

    def filling(out: Any, x: Any) -> None:
        np.multiply(x, 2, out=out)
        kept.append((out, out.copy()))

    x, a = opened(npy)
    made = oo.map_blocks.options(form="out")(filling, x + 1, dtype="f8") + 1
    np.testing.assert_allclose(made.sum().compute(), ((a + 1) * 2 + 1).sum())
    assert len(kept) == 11
    for block, then in kept:
        np.testing.assert_array_equal(block, then)


def test_blocks_of_an_array_that_is_walked_over(npy: Make) -> None:
    x, a = opened(npy)
    blocks = list(oo.map_blocks(twice, x + 1).iter_blocks())
    assert len(blocks) == 11
    for number, block in enumerate(blocks):
        part = a[number * CUT : (number + 1) * CUT]
        np.testing.assert_array_equal(block, (part + 1) * 2)


# That it is used again


def test_a_function_sees_the_same_memory_again(npy: Make, either_way: None) -> None:
    places = []

    def seeing(x: Any) -> Any:
        places.append(address(x))
        return x * 2

    x, _ = opened(npy)
    (oo.map_blocks(seeing, x + 1, dtype="f8") + 1).sum().compute()
    assert len(places) == 11
    assert len(set(places)) == 1
    assert places[0] % 64 == 0


def test_memory_is_made_once(npy: Make, either_way: None, watched: list[Watched]) -> None:
    x, a = opened(npy)
    total = (oo.map_blocks(twice, x + 1) + 1).sum().compute()
    np.testing.assert_allclose(total, ((a + 1) * 2 + 1).sum())
    (scratch,) = [one for one in watched if one.made]
    assert scratch.made <= 3  # the argument, the result, and what is reduced
    assert 2 * BLOCK <= scratch.most == scratch.made * BLOCK
    assert scratch.nbytes == 0  # the engine was closed


EXPRESSIONS: dict[str, Callable[[Any], Any]] = {
    "a kernel": lambda x: (oo.map_blocks(twice, x + 1) + 1).sum(),
    "kernels": lambda x: oo.map_blocks(twice, oo.map_blocks(twice, x + 1) + 1) + 1,
    "kernels on kernels": lambda x: oo.map_blocks(twice, oo.map_blocks(twice, x)).sum(),
    "a function": lambda x: (oo.map_blocks(np_twice, x + 1, dtype="f8") + 1).sum(axis=0),
    "whole columns": lambda x: oo.map_blocks(
        total_of, oo.map_blocks(twice, x + 1), drop_axis=0, dtype="f8"
    ),
    "whole columns of operations": lambda x: oo.map_blocks(
        total_of, x * 2 - 1, drop_axis=0, dtype="f8"
    ),
    "another dtype": lambda x: (oo.map_blocks(twice, x + 1, dtype="f4") + 1).sum(),
}


@pytest.mark.parametrize("make", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
@pytest.mark.parametrize(("order", "dtype"), [("C", "f8"), ("F", "f8"), ("C", ">f8")])
def test_no_more_is_held_than_was_estimated(
    npy: Make,
    either_way: None,
    watched: list[Watched],
    stages: list[Stage],
    make: Callable[[Any], Any],
    order: str,
    dtype: str,
) -> None:
    x, _ = opened(npy, order, dtype)
    make(x).compute()
    most = max(one.most for one in watched)
    assert 0 < most <= max(item_cost(stage).temporary for stage in stages)


def test_each_thread_has_its_own(npy: Make, watched: list[Watched]) -> None:
    x, a = opened(npy)
    with oo.options(scheduler="threads", workers=2):
        total = (oo.map_blocks(twice, x + 1) + 1).sum().compute()
    np.testing.assert_allclose(total, ((a + 1) * 2 + 1).sum())
    assert all(one.made <= 3 for one in watched)
    assert sum(one.made for one in watched) <= 6
