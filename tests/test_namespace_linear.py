"""Products, norms and einsum of the namespace, against NumPy; on exact numbers exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import oocarray as oo
from oocarray import linalg
from oocarray.namespace import linear

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _serial() -> Iterator[None]:
    with oo.options(scheduler="serial", progress=False):
        yield


def small(*shape: int, dtype: Any = "f8") -> Array:
    """Whole numbers of which products and sums are exact."""
    count = int(np.prod(shape))
    values = (np.arange(count) * 7 % 11 - 5).reshape(shape)
    if np.dtype(dtype).kind == "c":
        return (values + 1j * values[::-1]).astype(dtype)
    return abs(values).astype(dtype) if np.dtype(dtype).kind in "bu" else values.astype(dtype)


def forms(array: Array) -> dict[str, Any]:
    """The same array in memory, with set chunks, and as an expression."""
    chunks = tuple(max(1, (size + 1) // 2) for size in array.shape)
    cut = oo.from_array(array, chunks=chunks)
    found = {"memory": oo.from_array(array), "chunks": cut}
    found["expression"] = cut ^ False if array.dtype == bool else cut + 0
    return found


def check(mine: Callable[..., Any], theirs: Callable[..., Any], *arrays: Array) -> None:
    """Compare values, shape and dtype for every form of the arguments."""
    expected = np.asarray(theirs(*arrays))
    every = [forms(array) for array in arrays]
    for form in every[0] if every else ():
        lazy = mine(*(one[form] for one in every))
        assert isinstance(lazy, oo.Array)
        found = np.asarray(lazy.compute())
        assert lazy.shape == expected.shape
        assert lazy.dtype == found.dtype == expected.dtype, form
        np.testing.assert_array_equal(found, expected, form)


SHAPES = [
    ((3,), (3,)),
    ((4, 3), (3,)),
    ((3,), (3, 5)),
    ((4, 3), (3, 5)),
    ((2, 4, 3), (3, 5)),
    ((2, 1, 4, 3), (6, 3, 5)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 2)),
]


@pytest.mark.parametrize("dtype", ["?", "i1", "u4", "f4", "f8", "c16"])
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_matmul(a: Any, b: Any, dtype: str) -> None:
    check(linear.matmul, np.matmul, small(*a, dtype=dtype), small(*b, dtype=dtype))


def test_the_operator() -> None:
    a, b = small(4, 3), small(3, 5)
    check(lambda x, y: x @ y, np.matmul, a, b)
    np.testing.assert_array_equal((a @ oo.from_array(b)).compute(), a @ b)


@pytest.mark.parametrize(
    ("a", "b"),
    [((), ()), ((), (3,)), ((3,), ()), ((3,), (3,)), ((4, 3), (3,)), ((2, 4, 3), (5, 3, 2))],
)
def test_dot(a: Any, b: Any) -> None:
    check(linear.dot, np.dot, small(*a), small(*b))
    if len(b) < 2:
        check(linear.inner, np.inner, small(*a), small(*b))


def test_inner_of_many_axes() -> None:
    check(linear.inner, np.inner, small(2, 4, 3), small(5, 3))


@pytest.mark.parametrize(
    ("a", "b", "axes"),
    [
        ((4, 3), (4, 3), [(0, 1), (0, 1)]),
        ((2, 3, 4), (3, 4, 5), 2),
        ((2, 3, 4), (5, 6), 0),
        ((2, 3, 4), (4, 3, 5), ([-2, -1], [1, 0])),
        ((2, 3), (3, 4), 1),
        ((2, 3), (4, 3), (1, 1)),
        ((2, 0), (0, 4), 1),
    ],
)
def test_tensordot(a: Any, b: Any, axes: Any) -> None:
    def both(function: Any) -> Any:
        return lambda x, y: function(x, y, axes=axes)

    check(both(linear.tensordot), both(np.tensordot), small(*a), small(*b))


@pytest.mark.parametrize("dtype", ["i4", "f8", "c16"])
@pytest.mark.parametrize("axis", [-1, 0])
def test_vecdot(axis: int, dtype: str) -> None:
    a, b = small(3, 4, dtype=dtype), small(3, 4, dtype=dtype)[::-1]
    check(
        lambda x, y: linear.vecdot(x, y, axis=axis), lambda x, y: np.vecdot(x, y, axis=axis), a, b
    )
    check(linear.vdot, np.vdot, a, b)
    check(linear.outer, np.outer, a, b)


def test_matrices_and_vectors() -> None:
    m, v = small(2, 3, 3, dtype="c16"), small(2, 3, dtype="c16")
    check(linear.matvec, lambda m, v: (m @ v[..., None])[..., 0], m, v)
    check(linear.vecmat, lambda v, m: (v.conj()[..., None, :] @ m)[..., 0, :], v, m)


def test_cross() -> None:
    a, b = small(4, 3), small(4, 3)[::-1]
    check(linear.cross, np.cross, a, b)
    check(
        lambda x, y: linear.cross(x, y, axis=0), lambda x, y: np.cross(x, y, axis=0), a[:3].T, b[0]
    )
    check(
        lambda x, y: linear.cross(x, y, axisa=0, axisb=1, axisc=0),
        lambda x, y: np.cross(x, y, axisa=0, axisb=1, axisc=0),
        a.T,
        b,
    )
    with pytest.raises(ValueError, match="3 elements"):
        linear.cross([1, 2], [3, 4])


EINSUMS = [
    ("ij->ji", [(3, 4)]),
    ("ij", [(3, 4)]),
    ("ba", [(3, 4)]),
    ("ij->", [(3, 4)]),
    ("ij->j", [(3, 4)]),
    ("ii", [(3, 3)]),
    ("ii->i", [(3, 3)]),
    ("iji->j", [(3, 4, 3)]),
    ("...i->i...", [(2, 3, 4)]),
    ("i...->...", [(2, 3, 4)]),
    ("ij,jk", [(3, 4), (4, 5)]),
    ("ij,jk->ki", [(3, 4), (4, 5)]),
    ("ij,kj->ik", [(3, 4), (5, 4)]),
    ("i,j->ij", [(3,), (4,)]),
    ("i,i->", [(3,), (3,)]),
    ("i,i->i", [(3,), (3,)]),
    ("ij,ij->i", [(3, 4), (3, 4)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("bij,bj->bi", [(2, 3, 4), (2, 4)]),
    ("bijc,bcjk->kbi", [(2, 3, 4, 2), (2, 2, 4, 5)]),
    ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)]),
    ("...,...", [(2, 3), (3,)]),
    ("ij,ij->ij", [(3, 1), (3, 4)]),
    ("ij,jk,kl->il", [(3, 4), (4, 5), (5, 2)]),
    ("i,ij,j", [(3,), (3, 4), (4,)]),
    ("i,i,i->i", [(3,), (3,), (3,)]),
    ("ij,k->", [(3, 4), (2,)]),
    (",ij->ij", [(), (3, 4)]),
    (" i j , j -> i ", [(3, 4), (4,)]),
    ("ij,jk->ik", [(3, 0), (0, 5)]),
]


@pytest.mark.parametrize(("text", "shapes"), EINSUMS, ids=[text for text, _ in EINSUMS])
def test_einsum(text: str, shapes: Any) -> None:
    check(
        lambda *args: linear.einsum(text, *args),
        lambda *args: np.einsum(text, *args),
        *(small(*shape) for shape in shapes),
    )


@pytest.mark.parametrize("dtype", ["?", "i1", "f4", "c16"])
@pytest.mark.parametrize("text", ["ij,jk->ik", "ij,jk->", "ij,ij->j", "ij->i"])
def test_einsum_keeps_dtypes(text: str, dtype: str) -> None:
    arrays = [small(3, 3, dtype=dtype) for _ in range(text.count(",") + 1)]
    check(lambda *args: linear.einsum(text, *args), lambda *args: np.einsum(text, *args), *arrays)


def test_einsum_with_lists_and_dtype() -> None:
    a, b = small(3, 4, dtype="i4"), small(4, 5, dtype="i4")
    check(
        lambda x, y: linear.einsum(x, [0, 1], y, [1, 2], [2, 0]),
        lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [2, 0]),
        a,
        b,
    )
    check(
        lambda x: linear.einsum(x, [Ellipsis, 1], [Ellipsis], dtype="f8"),
        lambda x: np.einsum(x, [Ellipsis, 1], [Ellipsis], dtype="f8"),
        a,
    )
    with pytest.raises(TypeError):
        linear.einsum("ij", a, dtype="i1")


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("ij", [(3,)]),
        ("i", [(3, 4)]),
        ("ij,jk", [(3, 4)]),
        ("ij,jk", [(3, 4), (5, 6)]),
        ("ii", [(3, 4)]),
        ("ij->k", [(3, 4)]),
        ("ij->ii", [(3, 4)]),
        ("i-j", [(3, 4)]),
        ("...i->i", [(3, 4)]),
    ],
)
def test_einsum_refuses(text: str, shapes: Any) -> None:
    arrays = [small(*shape) for shape in shapes]
    with pytest.raises(ValueError, match=r".") as theirs:
        np.einsum(text, *arrays)
    with pytest.raises(type(theirs.value), match="einsum"):
        linear.einsum(text, *arrays)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("ord", [None, 0, 1, 2, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [-1, 0, (1,)])
@pytest.mark.parametrize("dtype", ["i4", "f4", "f8"])
def test_vector_norms(dtype: str, axis: Any, ord: Any, keepdims: bool) -> None:
    def both(function: Any) -> Any:
        return lambda x: function(x, ord=ord, axis=axis, keepdims=keepdims)

    # Squares of which the sum is a square.
    check(both(linear.norm), both(np.linalg.norm), np.array([[3, 4], [4, 3]], dtype))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (1, 0, 2)])
@pytest.mark.parametrize("ord", [1, 2, 3, 0.5, np.inf, -np.inf])
def test_vector_norm(axis: Any, ord: Any) -> None:
    a = small(2, 3, 4)
    for array in (a, small(2, 3, 4, dtype="c16")):
        for form in forms(array).values():
            found = linear.vector_norm(form, axis=axis, ord=ord).compute()
            expected = np.linalg.vector_norm(array, axis=axis, ord=ord)
            np.testing.assert_allclose(found, expected, rtol=1e-14)
            assert np.asarray(found).dtype == expected.dtype


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("ord", [1, -1, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [(0, 1), (-1, 0), (2, 1)])
def test_matrix_norms(axis: Any, ord: Any, keepdims: bool) -> None:
    def both(function: Any) -> Any:
        return lambda x: function(x, ord, axis, keepdims)

    check(both(linear.norm), both(np.linalg.norm), small(2, 3, 4))


def test_norms_of_all() -> None:
    for array in (small(3, 4), small(4), small(2, 3, 4), small(3, 4, dtype="c8")):
        for form in forms(array).values():
            np.testing.assert_allclose(
                linear.norm(form).compute(), np.linalg.norm(array), rtol=1e-6
            )
    a = small(2, 3, 4)
    np.testing.assert_allclose(
        linear.matrix_norm(a).compute(), np.linalg.matrix_norm(a), rtol=1e-14
    )
    check(lambda x: linear.norm(x, 1), lambda x: np.linalg.norm(x, 1), small(3, 4))


def test_nan_goes_through() -> None:
    a = small(3, 3)
    a[1, 1] = np.nan
    check(linear.matmul, np.matmul, a, small(3, 3))
    check(lambda x: linear.norm(x, np.inf), lambda x: np.linalg.norm(x, np.inf), a)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: linear.matmul(1, [1, 2]), ValueError),
        (lambda: linear.matmul([1, 2, 3], [1, 2]), ValueError),
        (lambda: linear.dot(np.ones((2, 3)), np.ones((2, 3))), ValueError),
        (lambda: linear.inner(np.ones((2, 3)), np.ones((3, 2))), ValueError),
        (lambda: linear.vdot([1, 2], [1, 2, 3]), ValueError),
        (lambda: linear.vecdot([1, 2], [1, 2], axis=1), np.exceptions.AxisError),
        (lambda: linear.tensordot([1, 2], [1, 2, 3], 1), ValueError),
        (lambda: linear.tensordot([1, 2], [1, 2], 2), ValueError),
        (lambda: linear.tensordot([1, 2], [1, 2], (1, 0)), np.exceptions.AxisError),
        (lambda: linear.tensordot(np.ones((2, 2)), np.ones((2, 2)), ((0, 0), (0, 1))), ValueError),
        (lambda: linear.matvec([1, 2], [1, 2]), ValueError),
        (lambda: linear.norm(np.ones((2, 2, 2)), 1), ValueError),
        (lambda: linear.norm([1, 2], "fro"), ValueError),
        (lambda: linear.norm(np.ones((2, 2)), 3), ValueError),
        (lambda: linear.norm(np.ones((2, 2)), 2), NotImplementedError),
        (lambda: linear.norm([1, 2], axis=1), np.exceptions.AxisError),
        (lambda: linalg.outer([[1, 2]], [1]), ValueError),
        (lambda: linalg.diagonal([1, 2]), ValueError),
    ],
)
def test_refused_when_built(call: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


def test_linalg() -> None:
    a = small(2, 3, 4)
    check(linalg.diagonal, np.linalg.diagonal, a)
    check(lambda x: linalg.trace(x, offset=1), lambda x: np.linalg.trace(x, offset=1), a)
    check(linalg.outer, np.linalg.outer, small(3), small(4))
    pytest.importorskip("oocarray.namespace.manipulation")
    check(linalg.matrix_transpose, np.linalg.matrix_transpose, a)
    assert all(callable(getattr(linalg, name)) for name in linalg.__all__)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers(scheduler: str) -> None:
    a, b = small(40, 30), small(30, 20)
    x, y = oo.from_array(a, chunks=(16, 16)), oo.from_array(b, chunks=(16, 16))
    with oo.options(scheduler=scheduler, workers=2, progress=False):
        np.testing.assert_array_equal(((x + 1) @ y).compute(), (a + 1) @ b)
        np.testing.assert_array_equal(linear.einsum("ij,jk->k", x, y).compute(), (a @ b).sum(0))
