"""The suite by `numpy.memmap` in whole expressions, as one writes them first; saves no memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import sync_file
from . import Files, SuiteBase


class NumpyNaive(SuiteBase):
    def mean(self, files: Files, chunk: int | None) -> float:
        return float(_open(files["a"]).mean())

    def columns(self, files: Files, chunk: int | None) -> list[list[float]]:
        x = _open(files["a"])
        four = x.mean(axis=0), x.std(axis=0), x.min(axis=0), x.max(axis=0)
        return [found.tolist() for found in four]

    def map(self, files: Files, chunk: int | None) -> None:
        _save(files["out"], 2 * _open(files["a"]) + 1)

    def two(self, files: Files, chunk: int | None) -> None:
        _save(files["out"], _open(files["a"]) * _open(files["b"]) + 1)

    def transcendental(self, files: Files, chunk: int | None) -> float:
        x = _open(files["a"])
        return float((np.sin(x) ** 2 + np.cos(x) * np.exp(-np.abs(x))).mean())

    def zscore(self, files: Files, chunk: int | None) -> None:
        x = _open(files["a"])
        _save(files["out"], (x - x.mean(axis=0)) / x.std(axis=0))

    def slab(self, files: Files, chunk: int | None) -> Any:
        x = _open(files["a"])
        quarter = x.shape[1] // 4
        return x[:, quarter : 3 * quarter].mean(axis=(1, 2)).tolist()

    def update(self, files: Files, chunk: int | None) -> None:
        x = np.load(files["work"], mmap_mode="r+")
        x *= 1.01
        x.flush()


def _open(path: str) -> np.ndarray[Any, Any]:
    x: np.ndarray[Any, Any] = np.load(path, mmap_mode="r")
    return x


def _save(path: str, made: np.ndarray[Any, Any]) -> None:
    np.save(path, made)
    sync_file(path)


RIVAL = NumpyNaive
