"""Counting values between edges; it looks for no range in the data, the caller gives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .core import Array
from .lazy.expr import ReduceNode
from .leaves import Reduction, make_reduction
from .opening import from_array

__all__ = ["histogram"]


def histogram(
    x: Any,
    bins: ArrayLike,
    range: tuple[float, float] | None = None,
    density: bool | None = None,
    weights: None = None,
) -> tuple[Array, np.ndarray[Any, Any]]:
    """Count the elements between edges, as `numpy.histogram`; the counts are lazy.

    Parameters
    ----------
    x : Array or array-like
        Bool, integers or real floats; all of its axes are counted together.
    bins : int or sequence
        The edges, n + 1 numbers that do not fall, or n, a number of bins of equal width.
    range : tuple of two numbers, optional
        Where the first bin begins and the last one ends; must be given with a number of bins.
    density : bool, optional
        Counts divided by their sum and by the widths of the bins, float64.
    weights : None
        Not supported.

    Returns
    -------
    counts : Array
        Shape (n,), int64 (float64 with `density`). Elements outside of the edges and NaN are
        not counted; the last bin includes its upper edge.
    edges : ndarray
        Shape (n + 1,).

    Raises
    ------
    ValueError
        A number of bins without `range`; edges that fall; fewer than two edges.
    TypeError
        `bins` or `range` are themselves to be computed; `x` is complex or has no numbers.
    NotImplementedError
        `weights` are given.

    Notes
    -----
    The counts are exactly NumPy's. The edges of a number of bins depend on the dtype, so that
    of a block function without ``dtype=`` is learnt here, from block 0.

    Examples
    --------
    >>> counts, edges = histogram(np.arange(10.0), bins=3, range=(0, 9))
    >>> counts.compute(), edges
    (array([3, 3, 4]), array([0., 3., 6., 9.]))
    >>> histogram([1, 2, 2, 9], [0, 2, 4], density=True)[0].compute()
    array([0.16666667, 0.33333333])
    """
    if weights is not None:
        raise NotImplementedError(
            "histogram takes no weights=; sum np.histogram(block, edges, weights=w)[0] over the "
            "blocks of both arrays with oo.map_blocks, or compute() them first"
        )
    _refuse_lazy(bins, range)
    given = np.asarray(bins) if not isinstance(bins, str) else None
    if given is None or given.dtype == object or (given.ndim == 0 and range is None):
        raise ValueError(
            f"histogram(bins={bins!r}, range={range!r}): give the edges as bins=, or a number "
            "of bins and range=(low, high), such as the results of min() and max()"
        )
    array = from_array(x)
    source = array.node
    if given.ndim:
        edges = given
    else:
        sample = np.zeros(0, np.uint8 if array.dtype == bool else array.dtype.newbyteorder("="))
        edges = np.histogram_bin_edges(sample, bins, range)
    if not density:
        return array._reduce("histogram", bins=bins, range=range), edges

    def make(shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Density:
        counts = make_reduction(
            "histogram", shape, dtype, bins=bins, range=range, order=source.order
        )
        widths = np.diff(edges).astype(np.float64)
        return _Density(**{**vars(counts), "out_dtype": np.dtype(np.float64)}, widths=widths)

    node = ReduceNode.of(source, "histogram", bins=bins, range=range)
    return Array(ReduceNode(source, make, node.shape, "histogram")), edges


@dataclass(frozen=True)
class _Density(Reduction):
    """A histogram whose last step is to divide."""

    widths: np.ndarray[Any, Any] | None = field(default=None, compare=False)
    """Of the bins."""

    def finish(self, partial: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        counts = super().finish(partial)
        return np.asarray(counts / self.widths / counts.sum())


def _refuse_lazy(bins: Any, range: Any) -> None:
    for name, value in (("bins", bins), ("range", range)):
        parts = value if isinstance(value, (tuple, list)) else (value,)
        for part in parts:
            if isinstance(part, Array):
                raise TypeError(
                    f"{name}= of histogram holds {part!r}, which is to be computed; compute it "
                    "first: low, high = oo.compute(x.min(), x.max())"
                )
