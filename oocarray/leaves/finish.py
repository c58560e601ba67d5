"""The last step of a reduction, from the combined partial to values, with NumPy's warnings."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from oocarray.leaves.combine import value_of_product

if TYPE_CHECKING:
    from oocarray.leaves.record import Reduction

__all__ = ["finish"]


def finish(reduction: Reduction, partial: np.ndarray) -> np.ndarray:
    """Return the values of a partial of the kept extents; shape and dtype are for the caller."""
    kind = reduction.kind
    if kind == "histogram":
        return np.asarray(partial["counts"]).astype(np.intp)
    if kind in ("sum", "skipsum", "split"):
        if reduction.name.endswith("mean"):
            return _mean(reduction, partial)
        return _total(partial)
    if kind == "moments":
        return _variance(reduction, partial)
    if kind == "scaled":
        with np.errstate(all="ignore"):
            return value_of_product(partial)
    if kind in ("min", "max") and reduction.skip and np.isnan(partial).any():
        _warn("All-NaN slice encountered")
    if kind in ("argmin", "argmax"):
        if (partial["index"] < 0).any():
            raise ValueError("All-NaN slice encountered")
        return np.asarray(partial["index"])
    return partial


def _total(partial: np.ndarray) -> np.ndarray:
    if "re" in (partial.dtype.names or ()):
        out = np.empty(partial.shape, np.complex128)
        out.real, out.imag = _total(partial["re"]), _total(partial["im"])
        return out
    return np.asarray(partial["hi"] + partial["lo"])


def _mean(reduction: Reduction, partial: np.ndarray) -> np.ndarray:
    total = _total(partial)
    count: float | np.ndarray = float(reduction.count)
    if reduction.kind == "skipsum":
        count = partial["re"]["n"] if "re" in (partial.dtype.names or ()) else partial["n"]
    if total.size and not np.all(count):
        _warn("Mean of empty slice.")
    with np.errstate(all="ignore"):
        if total.dtype.kind != "c":
            return np.asarray(total / count)
        out = np.empty(total.shape, total.dtype)  # part by part, as infinities need it
        out.real, out.imag = total.real / count, total.imag / count
        return out


def _variance(reduction: Reduction, partial: np.ndarray) -> np.ndarray:
    if "re" in (partial.dtype.names or ()):
        squares, count = partial["re"]["m2"] + partial["im"]["m2"], partial["re"]["n"]
    else:
        squares, count = partial["m2"], partial["n"]
    freedom = np.asarray(count - reduction.ddof)
    if squares.size and (freedom <= 0).any():
        _warn("Degrees of freedom <= 0 for slice.")
    with np.errstate(all="ignore"):
        out = np.asarray(squares / np.maximum(freedom, 0.0))
    if reduction.skip:
        out = np.where(freedom <= 0, math.nan, out)
    return np.asarray(np.sqrt(out)) if reduction.name.endswith("std") else out


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=4)
