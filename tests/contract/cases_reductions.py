"""Reductions, statistics, and what goes along whole lines."""

from __future__ import annotations

from .case import cases, words

_REDUCED = words("sum prod mean var std min max any all argmin argmax count_nonzero")
_NAN = words("nansum nanprod nanmean nanvar nanstd nanmin nanmax nanargmin nanargmax")
_INTEGERS = words("sum prod mean var min max any argmin count_nonzero")


def _lines() -> list[str]:
    reduced, without = [*_REDUCED], [*_NAN]
    return [
        *(f"{name}({of})" for name in reduced for of in ("a", "a, axis=0", "a, axis=-1")),
        *(f"{name}(a, axis=1, keepdims=True)" for name in reduced),
        *(f"{name}({of})" for name in _INTEGERS for of in ("i", "j, axis=0", "m", "m, axis=1")),
        *(f"{name}({of})" for name in ("sum", "mean", "prod", "var") for of in ("c", "c, axis=0")),
        *(f"{name}({of})" for name in ("sum", "max", "mean") for of in ("f", "f, axis=1")),
        *(f"{name}({of})" for name in ("sum", "max", "std") for of in ("t, axis=(0, 2)", "v")),
        *(f"{name}({of})" for name in without for of in ("nn", "nn, axis=0", "a, axis=1")),
        *(f"a.{name}({axis})" for name in reduced[:-1] for axis in ("", "axis=0")),
        *(f"Array.{name} :: nn.{name}() => {name}(nn)" for name in without),
    ]


CASES = [
    *cases("\n".join(_lines())),
    *cases("""
        a[a > 0].sum()
        a.count_nonzero(axis=0) => count_nonzero(a, axis=0)
        m.count_nonzero() => count_nonzero(m)
        var(a, axis=0, ddof=1)
        std(a, ddof=1)
        nanstd(nn, axis=0, ddof=1)
        sum(f, dtype="f8")
        sum(a * b + 1, axis=0)
        min(n, axis=0)
        max(n)
        mean(where(m, a, 0))
        reduction(a, largest, largest, axis=0, dtype=float) => max(a, axis=0)
        reduction(a, np.sum, np.sum, dtype=float) => sum(a)

        ptp(a)
        ptp(i, axis=1)
        a.ptp(axis=0) => ptp(a, axis=0)
        average(a)
        average(a, axis=0, weights=p)
        average(a, axis=1, weights=np.arange(8.0))
        average(a, axis=0, weights=p, returned=True)
        cov(a)
        cov(a, rowvar=False, ddof=0)
        cov(v, w)
        corrcoef(a)
        allclose(a, a)
        allclose(a, b)
        array_equal(a, a)
        array_equal(a, b)
        array_equiv(a, a)
        array_equiv(a, b)

        cumsum(a, axis=0)
        cumsum(a, axis=1)
        cumsum(i)
        cumsum(m, axis=0)
        cumprod(a, axis=0)
        cumprod(j, axis=1)
        cumulative_sum(v)
        cumulative_sum(a, axis=1, include_initial=True)
        cumulative_prod(v)
        cumulative_prod(a, axis=0)
        nancumsum(nn, axis=0)
        nancumprod(nn, axis=1)
        a.cumsum(axis=0)
        i.cumsum()
        a.cumprod(axis=1)
        diff(a)
        diff(i, n=2, axis=0)
        diff(a, axis=0, prepend=0.0, append=z)
        ediff1d(v)
        ediff1d(l, to_begin=-99, to_end=[88, 99])
        gradient(v)
        gradient(a)
        gradient(a, 0.5, axis=0, edge_order=2)
        interp(a, s, np.arange(9.0))
        apply_along_axis(span, 0, a)
        apply_along_axis(np.sort, 1, a)
        apply_over_axes(np.sum, t, [0, 2])

        median(a, axis=0)
        median(a)
        median(i, axis=1)
        nanmedian(nn, axis=1)
        nanmedian(nn)
        quantile(a, 0.3, axis=0)
        quantile(a, [0.1, 0.5], axis=1)
        quantile(v, [0.25, 0.75])
        quantile(a, 0.3, axis=1, method="nearest")
        percentile(a, 30, axis=0)
        percentile(a, [10, 50])
        nanquantile(nn, 0.4, axis=0)
        nanpercentile(nn, [20, 60], axis=1)

        histogram(v, 5, range=(-2, 2))
        histogram(a, np.array([-3.0, -1, 0, 0.5, 3]))
        histogram(a, 4, range=(-3, 3), density=True)
        histogram(i, 6, range=(-9, 9))
        a.histogram(5, range=(-2, 2)) => histogram(a, 5, range=(-2, 2))
        bincount(l)
        bincount(l, weights=v, minlength=9)
        digitize(a, np.array([-1.0, 0, 1]))
        digitize(i, np.array([5, 0, -5]), right=True)
    """),
]
