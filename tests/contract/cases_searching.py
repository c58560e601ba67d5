"""Sorting, searching, sets: what depends on the order of elements; equal to the bit."""

from __future__ import annotations

from .case import cases

CASES = cases(
    """
    sort(a)
    sort(a, axis=0)
    sort(i, axis=1)
    sort(v)
    sort(v, descending=True) => sort(v)[::-1]
    sort(c, axis=0)
    argsort(a)
    argsort(a, axis=0)
    argsort(l) => argsort(l, kind="stable")
    argsort(v, descending=True) => argsort(-v)
    oo.partition :: partition(a, 3, axis=1)[:, 3] => sort(a, axis=1)[:, 3]
    oo.partition :: sort(partition(v, 4)[:5]) => sort(v)[:5]
    oo.argpartition :: take_along_axis(a, argpartition(a, 2, axis=0), axis=0)[2] => \
sort(a, axis=0)[2]
    topk(a, 3) => sort(a)[:, :-4:-1]
    topk(v, -2) => sort(v)[:2]
    argtopk(a, 2, axis=0) => argsort(a, axis=0)[:-3:-1]
    a.argsort(axis=0)
    Array.sort :: sorted_in_place(near)
    searchsorted(s, a)
    searchsorted(s, v, side="right")
    s.searchsorted(v)
    nonzero(m)
    nonzero(l)
    m.nonzero()
    oo.where :: where(m)
    argwhere(m)
    flatnonzero(l)
    isin(l, [1, 3])
    isin(i, j, invert=True)
    in1d(l, l2) => isin(l, l2)
    unique(l)
    unique(i)
    unique(l, return_index=True, return_inverse=True, return_counts=True)
    unique(a > 0)
    unique_all(l)
    unique_counts(i)
    unique_inverse(i)
    unique_values(i) => unique(i)
    union1d(l, l2)
    union1d(i, j)
    intersect1d(l, l2)
    intersect1d(unique(l), unique(l2), return_indices=True)
    setdiff1d(l, l2)
    setxor1d(l, l2)
""",
    exact=True,
)
