"""Cases of Zarr arrays, plain, in shards and compressed, beside others; runs nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..data import Data
from ..stores import MILLION_AT, MILLION_CHUNK, million_sum
from .records import Case, Contestant, Settings, Target

__all__ = ["cases", "targets"]

OURS, DASK, LOOP, ZARRS = "oocarray", "dask threads", "zarr-python", "zarr-python + zarrs"
_MODULES = {
    OURS: "ours_zarr",
    LOOP: "python_zarr",
    DASK: "dask_stores_zarr",
    ZARRS: "zarrs_zarr",
}
_TITLES = {
    "chunks": "Zarr in chunks of 8 MiB",
    "zstd": "Zarr in chunks of 8 MiB, zstd",
}


def cases(settings: Settings) -> list[Case]:
    """Mean and map from the disk and from the page cache; opening an array of many chunks."""

    def who(store: str, warm: bool, *labels: str, **more: Any) -> tuple[Contestant, ...]:
        return tuple(
            Contestant(
                label,
                _MODULES[label],
                None if warm else settings.memory,
                settings.workers,
                limit=None if warm else settings.limit,
                arguments={"store": store, **more},
                needs="zarrs" if label == ZARRS else "",
                beside="" if label == OURS else OURS,
            )
            for label in labels
        )

    def mean(name: str, store: str, *labels: str, warm: bool = False) -> Case:
        kind = store.removesuffix("-cached")
        return Case(
            name,
            "formats",
            "mean",
            f"mean, {_TITLES[kind]}, {'cached' if warm else 'cold'}",
            who(store, warm, *labels),
            _same_mean(store),
            reads=store,
            cold=not warm,
            warm=warm,
            calls=3 if warm else 1,
            first=int(warm),
        )

    def mapped(name: str, method: str, title: str, store: str, *labels: str, **how: bool) -> Case:
        warm = how.get("warm", False)
        return Case(
            name,
            "formats",
            method,
            f"{title}, {'cached' if warm else 'cold'}",
            who(store, warm, *labels),
            _mapped(store),
            reads=store,
            cold=not warm,
            warm=warm,
            writes="out",
            places=store,
        )

    everyone = (OURS, LOOP, DASK, ZARRS)
    same, shards = (
        f"2x + 1, {_TITLES['chunks']} to the same",
        f"2x + 1, {_TITLES['chunks']} to shards",
    )
    return [
        mean("zarr_mean", "chunks", *everyone),
        mean("zarr_mean-cached", "chunks-cached", *everyone, warm=True),
        mapped("zarr_map", "map", same, "chunks", *everyone),
        mapped("zarr_map-cached", "map", same, "chunks-cached", *everyone, warm=True),
        mapped("zarr_shards_map", "map_shards", shards, "chunks", *everyone),
        mean("zstd_mean", "zstd", *everyone),
        mean("zstd_mean-cached", "zstd-cached", *everyone, warm=True),
        Case(
            "open_million",
            "formats",
            "open_one",
            "opening Zarr of 1,000,000 chunks, reading one of 4 KiB",
            who("million", True, OURS, LOOP, DASK, **_spans()),
            _same_million,
            reads="million",
            warm=True,
            calls=3,
            first=1,
            counted=False,
        ),
    ]


def _spans() -> dict[str, list[int]]:
    """Rows and columns of the chunk that is read."""
    found = [[at * n, at * n + n] for at, n in zip(MILLION_AT, MILLION_CHUNK, strict=True)]
    return dict(zip(("rows", "columns"), found, strict=True))


def targets(settings: Settings) -> list[Target]:
    """Ratios are another's seconds by ours: nobody is to be faster."""
    names = ("zarr_mean", "zarr_map", "zarr_shards_map", "zstd_mean")
    return [
        *(
            Target(name, f"times as fast as {rival}", 1.0, rival, by=OURS, unit="x")
            for name in names
            for rival in (LOOP, DASK, ZARRS)
        ),
        Target("open_million", "times as fast as dask threads", 1.0, DASK, by=OURS, unit="x"),
    ]


# ---- checking ------------------------------------------------------------------------------------


def _same_mean(store: str) -> Callable[[Data, Any, Any], str]:
    def compare(data: Data, found: float, _: Any) -> str:
        # All but we sum up in float32.
        expected = data.store_mean(store)
        if math.isclose(found, expected, rel_tol=1e-5):
            return ""
        return f"the mean is {expected!r}, not {found!r}"

    return compare


def _mapped(store: str) -> Callable[[Data, Any, Any], str]:
    def compare(data: Data, found: list[float], _: Any) -> str:
        return data.differs(2 * data.store_values(store) + 1, found, store)

    return compare


def _same_million(_: Data, found: float, __: Any) -> str:
    return "" if found == million_sum() else f"the sum is {million_sum()!r}, not {found!r}"
