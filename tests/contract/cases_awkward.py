"""Inputs that backends trip over: other byte orders, empty, without axes, in blocks that differ."""

from __future__ import annotations

from .case import cases

CASES = [
    *cases(
        """
    swapped[1:5, ::2] => b[1:5, ::2].astype(">f8")
    swapped.T => b.T.astype(">f8")
    columns.T
    columns[::2, 3]
    reshape(columns, -1)
    half[2:5]
    bytes8[::-1]
    add(swapped, columns)
    swapped + 1
    bytes8 + bytes8
    bytes8 * 2
    bytes8 * 2.0
    half + half
    half * 2
    f * 2
    Array.__mul__ :: f * np.float64(2)
    i + 1.5
    i + np.int8(1)
    i / j
    m + m
    m * i
    i + c
    i ** 2
    sum(bytes8)
    sum(bytes8, axis=0)
    max(bytes8, axis=1)
    max(half)
    sum(i, dtype="i8")
    sum(i, axis=(0, 1), keepdims=True)
    sum(i, axis=()) => i.astype(int)
    any(m, axis=(0, 1))
    argmax(v, keepdims=True)
    argmin(m, axis=1)
    argmax(k)  # the first of many that are equal
    argmax(n, axis=0)  # the first nan
    max(n, axis=1)
    sort(n, axis=0)
    argsort(n, axis=1) => argsort(n, axis=1, kind="stable")
    argsort(k, axis=0) => argsort(k, axis=0, kind="stable")
    unique(nn)
    sort(bytes8, axis=None)
    sort(name)
    name == np.array("ab")
    equal(name, np.array("ab"))
    concatenate([name, name])
    name[::-1]
    unique(name)

    empty0 + 1
    empty0[:, 2:4]
    sum(empty0)
    sum(empty0, axis=0)
    sum(empty0, axis=1)
    any(empty0, axis=0)
    concatenate([empty0, i * 1.0])
    empty0.T
    reshape(empty0, (4, 0))
    sort(empty0, axis=0)
    a[:0]
    a[7:] + 1 => a[7:] + 1
    v[v > 99]
    cumsum(empty0, axis=0)
    flatnonzero(v > 99)

    one + 1
    one[()]
    one[None]
    sqrt(one)
    sum(one)
    a + one
    where(m, one, a)
    reshape(one, (1, 1))
    broadcast_to(one, (2, 3))
    stack([one, one * 2])
    sum(i).reshape(1, 1)
    Array.__sub__ :: a - max(a)
    Array.__sub__ :: a - max(a, axis=1, keepdims=True)

    a + odd
    odd - uneven
    uneven * whole
    where(m, odd, uneven)
    concatenate([odd, uneven], axis=1)
    stack([a, odd, uneven], 1)
    maximum(odd, z)
    Array.__add__ :: odd[1:, :4] + uneven[:-1, 4:]
    Array.__add__ :: odd.T[::-1] + uneven.T
    Array.__add__ :: roll(odd, 1, axis=0) + flip(uneven, 0)
    odd[m]
    take_along_axis(odd, positions, axis=1)
    map_blocks(weighted, odd, odd, factor=2.0, dtype=float) => odd * 2.0 + odd
""",
        exact=True,
    ),
    *cases("""
        sum(odd * uneven, axis=0)
        mean(half, axis=0, dtype=float)
        var(bytes8)
        mean(i, axis=1)
        mean(m)
        std(bytes8, axis=0)
        mean(swapped)
        mean(columns, axis=0)
        prod(whole, axis=1)
        prod(j)
        matmul(odd, whole.T)
        matmul(swapped, columns.T)
        cumsum(uneven, axis=1)
        cumsum(bytes8, axis=0)
        cov(odd)
        einsum("ij,kj->k", odd, uneven)
        tensordot(odd, uneven, 2)
        sum(where(a > 0, sqrt(abs(a)), odd) * uneven, axis=1)
        Array.__truediv__ :: (a - mean(a, axis=0)) / std(a, axis=0)
        Array.__truediv__ :: exp(a) / sum(exp(a), axis=1, keepdims=True)
        sum(exp(c))
        quantile(odd, 0.2, axis=0)
        median(uneven, axis=1)
        gradient(odd, axis=1)
        Array.std :: odd[1:6].std(axis=1)
        Array.mean :: (a > 0).mean()
        Array.sum :: concatenate([a, b]).T.sum(axis=0)
        Array.sum :: sort(a, axis=0)[:3].sum()
    """),
]
