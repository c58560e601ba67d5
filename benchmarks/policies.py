"""The ways to read and write a file that are tried, table by table; it runs none of them."""

from __future__ import annotations

import math
from typing import Any

from oocarray.units import format_bytes

from .cases import engine
from .cases.records import MIB, Case, Contestant
from .data import Data

__all__ = ["NAMES", "TITLES", "make_policies"]

KIB = 1 << 10
TITLES = {
    "read": "Reading the file once (sum by a numba loop, blocks of 16 MiB)",
    "windows": "Reading it in blocks of other sizes, each dropped when done",
    "address": "Where the mapping lies (hugepage, populated by a thread, dropped behind)",
    "edges": "What stays cached of blocks that begin at offset 128",
    "cached": "Reading it from the page cache, without a limit",
    "new": "2x + 1 to a new file, on the disk at the end",
    "over": "2x + 1 over a file that has data",
    "in-place": "In place",
}
NAMES = tuple(TITLES)
_SLOW = 1 / 16
"""Part of the file that the slowest policy reads."""
_EDGES = 256 * MIB


def make_policies(size: int, limit: int, share: float = _SLOW) -> dict[str, Case]:
    """One case per table, a contestant per policy."""
    makers = (_read, _windows, _address, _edges, _cached, _new, _over, _in_place)
    found = (maker(size, limit, share) for maker in makers)
    return dict(zip(NAMES, found, strict=True))


def _who(
    label: str, module: str, limit: int | None, part: float = 1.0, /, **arguments: Any
) -> Contestant:
    return Contestant(label, module, limit=limit, arguments=arguments, share=part)


def _case(name: str, method: str, who: list[Contestant], compare: Any, **more: Any) -> Case:
    return Case(name, name, method, TITLES[name], tuple(who), compare, **more)


def _read(size: int, limit: int, share: float) -> Case:
    def who(label: str, part: float = 1.0, **policy: Any) -> Contestant:
        if part < 1:
            policy["share"] = part
        return _who(label, "pages_read", limit, part, **policy)

    behind: dict[str, Any] = {"drop": "cache"}
    thread = {"populate": "thread", **behind}
    policies = [
        who("nothing said"),
        who("drop behind", **behind),
        who("SEQUENTIAL, drop behind", advice="sequential", **behind),
        who("HUGEPAGE, drop behind", advice="hugepage", **behind),
        who("POPULATE_READ per block, drop behind", populate="piece", **behind),
        who("POPULATE_READ in a thread, drop behind", **thread),
        who("SEQUENTIAL, POPULATE_READ in a thread, drop behind", advice="sequential", **thread),
        who("HUGEPAGE, POPULATE_READ in a thread, drop behind", advice="hugepage", **thread),
        who("POPULATE_READ per block, page table alone dropped", populate="piece", drop="table"),
        who("WILLNEED 3 blocks ahead, drop behind", populate="willneed", **behind),
        who(
            "RANDOM, WILLNEED 3 blocks ahead, drop behind",
            share,
            advice="random",
            populate="willneed",
            **behind,
        ),
        who("pread into a buffer, drop behind", how="pread"),
        who("O_DIRECT, one buffer", how="direct"),
        who("O_DIRECT, two buffers", how="direct", buffers=2),
        who("2 processes, halves, HUGEPAGE, drop behind", processes=2, advice="hugepage", **behind),
        who(
            "2 processes, alternate blocks, HUGEPAGE, drop behind",
            processes=2,
            split="alternate",
            advice="hugepage",
            **behind,
        ),
    ]
    return _case("read", "read", policies, _same_sum, cold=True)


def _windows(size: int, limit: int, _: float) -> Case:
    ways: dict[str, dict[str, Any]] = {
        "SEQUENTIAL": {"advice": "sequential"},
        "HUGEPAGE": {"advice": "hugepage"},
        "HUGEPAGE, POPULATE_READ in a thread": {"advice": "hugepage", "populate": "thread"},
    }
    policies = [
        _who(
            f"{format_bytes(block)}, {name}", "pages_read", limit, block=block, drop="cache", **way
        )
        for block in (256 * KIB, MIB, 4 * MIB, 16 * MIB, 64 * MIB)
        for name, way in ways.items()
    ]
    return _case("windows", "read", policies, _same_sum, cold=True)


def _address(size: int, limit: int, _: float) -> Case:
    way = {"advice": "hugepage", "populate": "thread", "drop": "cache"}
    policies = [
        _who("agrees with the position modulo 2 MiB", "pages_read", limit, **way),
        _who("is one page beside that", "pages_read", limit, shift=4096, **way),
    ]
    return _case("address", "read", policies, _same_sum, cold=True)


def _edges(size: int, limit: int, _: float) -> Case:
    nbytes = min(_EDGES, size)
    policies = [
        _who(
            f"blocks of {format_bytes(block)}, dropped {name}",
            "pages_read",
            limit,
            nbytes / size,
            block=block,
            nbytes=nbytes,
            reach=(block + 2 * MIB) * far,
        )
        for block in (4 * MIB, 16 * MIB)
        for far, name in ((0, "exactly"), (1, "from a block and 2 MiB before"))
    ]
    return _case("edges", "edges", policies, _same_sum, cold=True)


def _cached(size: int, limit: int, _: float) -> Case:
    ways: dict[str, dict[str, Any]] = {
        "mapping kept": {},
        "taken out of the page table after each block": {"drop": "table"},
        "POPULATE_READ per block, then taken out": {"populate": "piece", "drop": "table"},
    }
    policies = [
        _who(f"{count} process{'es' * (count > 1)}, {name}", "pages_read", None, **way, **how)
        for count, how in ((1, {}), (2, {"processes": 2}))
        for name, way in ways.items()
    ]
    return _case("cached", "read", policies, _same_sum, first=1, calls=3)


def _new(size: int, limit: int, _: float) -> Case:
    ways: dict[str, dict[str, Any]] = {
        "stores, nothing said": {},
        "stores, written and dropped behind": {"behind": True},
        "POPULATE_WRITE, stores, written and dropped behind": {"populate": True, "behind": True},
        "POPULATE_WRITE, stores, nothing said": {"populate": True},
        "buffer + pwrite, written and dropped behind": {"how": "pwrite", "behind": True},
        "buffer + pwrite, nothing said": {"how": "pwrite"},
        "buffer + O_DIRECT": {"how": "pwrite", "direct": True},
        "sparse file, stores, written and dropped behind": {"behind": True, "reserve": False},
    }
    policies = [_who(name, "pages_write", limit, **way) for name, way in ways.items()]
    return _case("new", "new", policies, engine.mapped, cold=True, writes="out")


def _over(size: int, limit: int, _: float) -> Case:
    ways: dict[str, dict[str, Any]] = {
        "stores, written and dropped behind": {"behind": True},
        "ZERO_RANGE of the block first": {"behind": True, "zero": True},
        "buffer + pwrite, written and dropped behind": {"how": "pwrite", "behind": True},
    }
    policies = [_who(name, "pages_write", limit, **way) for name, way in ways.items()]
    return _case("over", "over", policies, engine.mapped, reads="work", cold=True, writes="work")


def _in_place(size: int, limit: int, _: float) -> Case:
    policies = [
        _who("stores, nothing said", "pages_write", limit),
        _who("stores, written and dropped behind", "pages_write", limit, behind=True),
    ]
    return _case(
        "in-place", "in_place", policies, engine.updated, reads="work", cold=True, writes="work"
    )


def _same_sum(data: Data, found: list[float], _: Any) -> str:
    count, total = int(found[0]), found[1]
    expected = data.sum_of(count)
    if math.isclose(total, expected, rel_tol=1e-9):
        return ""
    return f"the sum of {count:,} elements is {expected!r}, not {total!r}"
