"""Reduce a leaf of complex numbers where no loop of ours does: products and order; nothing else."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["numpy_leaf"]


def numpy_leaf(
    kind: str, leaf: np.ndarray, axes: tuple[int, ...], skip: bool, dtype: np.dtype
) -> np.ndarray:
    """Return a leaf's partials with its reduced axes kept as 1; indices count within the leaf."""
    kept = tuple(k for k in range(leaf.ndim) if k not in axes)
    rest = tuple(leaf.shape[k] for k in kept)
    count = math.prod(leaf.shape[k] for k in axes)
    native = leaf.dtype.newbyteorder("=")
    rows = np.ascontiguousarray(leaf.transpose(*kept, *axes), native).reshape(*rest, count)
    with np.errstate(all="ignore"):
        out = _reduce(kind, rows, skip, dtype)
    return out.reshape(tuple(1 if k in axes else n for k, n in enumerate(leaf.shape)))


def _reduce(kind: str, rows: np.ndarray, skip: bool, dtype: np.dtype) -> np.ndarray:
    if kind == "complex_prod":
        wide = rows.astype(np.complex128)
        if skip:
            wide[np.isnan(wide)] = 1
        return np.asarray(np.multiply.reduce(wide, axis=-1))
    out = np.zeros(rows.shape[:-1], dtype)
    if rows.shape[-1] == 0:
        if kind.startswith("arg"):
            out["index"] = -1
        return out
    if kind in ("min", "max"):
        best = {"min": (np.minimum, np.fmin), "max": (np.maximum, np.fmax)}[kind][skip]
        return np.asarray(best.reduce(rows, axis=-1))
    index = rows.argmin(axis=-1) if kind == "argmin" else rows.argmax(axis=-1)
    if skip:
        nan = np.isnan(rows)
        limit = np.inf if kind == "argmin" else -np.inf
        masked = np.where(nan, complex(limit, limit), rows)
        index = masked.argmin(axis=-1) if kind == "argmin" else masked.argmax(axis=-1)
        none = nan.all(axis=-1)
        index = np.where(none, -1, index)
    out["index"] = index
    out["value"] = np.take_along_axis(rows, np.maximum(index, 0)[..., None], -1)[..., 0]
    return out
