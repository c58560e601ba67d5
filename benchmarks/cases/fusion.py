"""Cases of expressions that one pass can do, over cached arrays, beside others; runs nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..data import Data
from ..pairs import STATISTICS, pair_bytes, results
from .records import MIB, Case, Contestant, Fresh, Settings, Target

__all__ = ["cases", "targets"]

OURS = "oocarray"
ALL = "five at once"
_MODULES = {
    "dask": "dask_memmap",
    "numexpr": "numexpr_map",
    "numba loop": "numba_loop",
    "numpy blocks": "numpy_blocks",
    "blosc2": "blosc2_map",
}
_NEEDS = {"numexpr": "numexpr", "blosc2": "blosc2"}
_TITLES = {
    "squares": "sum of (a - b)^2, cached",
    "transcendental": "mean of sqrt(a a + b b) exp(-abs(a)), cached",
}

# Imports, the pool and what is compiled once for all expressions are paid for before.
_HUNDRED = """
import json, os, statistics, sys, tempfile, time
import numpy as np

def hundred(x):
    y = x
    for k in range(20):
        y = np.sqrt(abs(y * (1.0 + k / 64) + (k + 0.5))) - x
    return y

def timed(function, *arguments, **options):
    begin = time.perf_counter()
    value = function(*arguments, **options)
    return time.perf_counter() - begin, value

with tempfile.TemporaryDirectory() as cache:
    os.environ["OOCARRAY_CACHE"] = cache
    import oocarray as oo
    x = oo.open(sys.argv[1])
    options = {"workers": int(sys.argv[2]), "progress": False, "fuse": True}
    (-x).compute(**options)
    hundred(x)
    build = statistics.median(timed(hundred, x)[0] for _ in range(5))
    y, before = hundred(x), set(os.listdir(cache))
    first, value = timed(y.compute, **options)
    kernels = len(set(os.listdir(cache)) - before)
    again, _ = timed(y.compute, **options)
assert np.allclose(value, hundred(np.load(sys.argv[1])), rtol=1e-9, atol=1e-9)
found = {"seconds": again, "build": build, "compile": first - again, "kernels": kernels}
print(json.dumps(found))
"""


def cases(settings: Settings) -> list[Case | Fresh]:
    """Two expressions, in float64, float32 and strided; five statistics; what a start costs."""

    def who(label: str, module: str, pair: str, **more: Any) -> Contestant:
        # So much that our run keeps within it: nothing is dropped.
        memory = 2 * pair_bytes(pair, settings.pair) + 512 * MIB if module == "ours" else None
        more = {"arguments": {"pair": pair}, "beside": OURS, "needs": _NEEDS.get(label, ""), **more}
        more["beside"] = "" if label == more["beside"] else more["beside"]
        return Contestant(label, module, memory, settings.workers, **more)

    def others(pair: str, *labels: str) -> tuple[Contestant, ...]:
        chosen = labels or tuple(_MODULES)
        return tuple(who(label, _MODULES[label], pair) for label in chosen)

    def case(
        name: str, method: str, title: str, contestants: tuple[Contestant, ...], pair: str
    ) -> Case:
        return Case(
            name,
            "fusion",
            method,
            title,
            contestants,
            _same(method, 1e-5 if pair == "pair32" else 1e-9),
            reads=pair,
            calls=3,
            first=1,
            keeps=True,
            warm=True,
        )

    def beside_double(method: str, pair: str, label: str, *labels: str) -> tuple[Contestant, ...]:
        """Ours over one pair and over the usual one, then others over the first."""
        share = pair_bytes("pair", settings.pair) / pair_bytes(pair, settings.pair)
        usual = who(label, "ours", "pair", reads="pair", share=share)
        return (who(OURS, "ours", pair), usual, *others(pair, *labels))

    found: list[Case | Fresh] = [
        case(name, name, title, (who(OURS, "ours", "pair"), *others("pair")), "pair")
        for name, title in _TITLES.items()
    ]
    found.append(
        case("statistics", "statistics", "statistics of one array, cached", _five(who), "pair")
    )
    some = ("dask", "numexpr", "numba loop")
    for name, title in _TITLES.items():
        both = beside_double(name, "pair32", "oocarray float64", *some)
        found.append(case(f"{name}-float32", name, f"{title}, float32", both, "pair32"))
    both = beside_double("squares", "wide", "oocarray contiguous", *some, "numpy blocks")
    title = f"{_TITLES['squares']}, b every second column"
    return [
        *found,
        case("squares-strided", "squares", title, both, "wide"),
        Fresh(
            "hundred",
            "fusion",
            "100 elementwise nodes over 1 MiB, second evaluation",
            {OURS: _HUNDRED},
            ("small", str(settings.workers)),
        ),
        Case(
            "again",
            "fusion",
            "again",
            f"sum of (a - b)^2 of {pair_bytes('few', settings.pair) // MIB} MiB, once more",
            (
                who(OURS, "ours", "few"),
                who("oocarray, built anew", "ours", "few", arguments={"pair": "few", "anew": True}),
                *others("few", "numba loop"),
            ),
            _same("squares", 1e-9),
            reads="few",
            calls=9,
            first=2,
            keeps=True,
            watched=False,
            warm=True,
        ),
    ]


def _five(who: Callable[..., Contestant]) -> tuple[Contestant, ...]:
    """All at once, each alone, and another's all at once; they read the first array only."""

    def asked(label: str, module: str, names: tuple[str, ...]) -> Contestant:
        arguments = {"pair": "pair", "names": names}
        return who(label, module, "pair", arguments=arguments, share=0.5, beside=ALL)

    alone = tuple(asked(f"{name} alone", "ours", (name,)) for name in STATISTICS)
    together = asked(ALL, "ours", STATISTICS), asked("dask, five", "dask_memmap", STATISTICS)
    return (together[0], *alone, together[1])


def targets(settings: Settings) -> list[Target]:
    """Ratios are another's seconds by ours, or bytes per second of two runs of ours."""

    def times(case: str, rival: str, wanted: float) -> Target:
        return Target(case, f"times as fast as {rival}", wanted, rival, by=OURS, unit="x")

    def per_byte(case: str, than: str) -> Target:
        text, key = f"time per byte by that of {than}", "gb_per_second"
        return Target(case, text, 1.3, f"oocarray {than}", key, by=OURS, most=True, unit="x")

    alone = tuple(f"{name} alone" for name in STATISTICS)
    text = "time at once by the slowest alone"
    hundred = {"most": True, "unit": "s"}
    return [
        times("squares", "dask", 2.5),
        times("squares", "numexpr", 3.0),
        times("squares", "numba loop", 0.8),
        times("transcendental", "dask", 3.0),
        times("transcendental", "numexpr", 3.0),
        times("transcendental", "blosc2", 2.0),
        Target("statistics", text, 1.3, ALL, by=alone, most=True, unit="x"),
        per_byte("squares-float32", "float64"),
        per_byte("transcendental-float32", "float64"),
        per_byte("squares-strided", "contiguous"),
        Target("hundred", "to build the expression", 0.005, OURS, "build", **hundred),
        Target("hundred", "first evaluation, less the second", 2.0, OURS, "compile", **hundred),
        Target("hundred", "kernels compiled, at least", 1, OURS, "kernels"),
        Target("hundred", "kernels compiled, at most", 1, OURS, "kernels", most=True),
        Target("again", "to the result of 8 MiB and 8 MiB", 0.005, OURS, most=True, unit="s"),
    ]


def _same(method: str, tolerance: float) -> Callable[[Data, Any, Any], str]:
    """Compare a figure with that of the pair it is of; statistics come by name, one or more."""

    def compare(data: Data, found: Any, _: Any) -> str:
        pair, value = found
        right = results(str(data.path(pair)))
        if method != "statistics":
            value, expected = {method: value}, {method: getattr(right, method)}
        else:
            expected = right.statistics
        for name, figure in value.items():
            if not math.isclose(figure, expected[name], rel_tol=tolerance):
                return f"{name} is {expected[name]!r}, not {figure!r}"
        return "" if value else "nothing was found"

    return compare
