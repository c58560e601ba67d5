"""Puts the partials of leaves where they belong among those of a block; it reduces nothing."""

from __future__ import annotations

import numpy as np

from oocarray.leaves.walk import Run

__all__ = ["join", "place", "whole_nans"]


def whole_nans(piece: np.ndarray) -> np.ndarray:
    """A complex number is NaN when either part is."""
    return np.where(np.isnan(piece).any(axis=-1, keepdims=True), np.nan, piece)


def join(found: np.ndarray, dtype: np.dtype) -> np.ndarray:
    out = np.empty(found.shape[:2], dtype)
    out["re"], out["im"] = found[..., 0], found[..., 1]
    return out


def place(out: np.ndarray, found: np.ndarray, run: Run, axes: tuple[int, ...]) -> None:
    """Put the (L, extents) partials of a run where they belong among the block's."""
    if not run.region:
        out[...] = found[0]
        return
    where = tuple(
        slice(c, c + (run.count if k == run.axis else 1)) if k in axes else s
        for k, (c, s) in enumerate(zip(run.coords, run.region, strict=True))
    )
    target = out[where]
    target[...] = (np.moveaxis(found, 0, run.axis) if run.axis else found).reshape(target.shape)
