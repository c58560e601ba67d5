"""Arrays made of nothing or of values, and functions called on blocks."""

from __future__ import annotations

from .case import cases

_DATA = "np.arange(12.0).reshape(3, 4)"

CASES = [
    *cases(f"""
        arange(7)
        arange(1.5, 9.0, 0.7)
        arange(10, 0, -3, chunks=2) => arange(10, 0, -3)
        array({_DATA})
        array([1, 2, 3], dtype="f4", ndmin=2)
        asarray({_DATA}, chunks=(2, 3)) => {_DATA}
        asanyarray({_DATA})
        ascontiguousarray({_DATA}.T)
        from_array({_DATA}, chunks=2) => {_DATA}
        from_dlpack({_DATA})
        oo.empty :: isfinite(empty((7, 8))) | True => np.ones((7, 8), bool)
        oo.empty_like :: empty_like(i) * 0
        eye(7, 5, k=1, chunks=3) => eye(7, 5, k=1)
        identity(6)
        tri(5, 7, k=-1)
        full((7, 8), 2.5, chunks=3) => full((7, 8), 2.5)
        full_like(i, 3)
        full_like(a, 1.5)
        ones((7, 8), chunks=(3, 3)) => ones((7, 8))
        ones_like(a)
        zeros((7, 8), dtype=int, chunks=3) => zeros((7, 8), dtype=int)
        zeros_like(c)
        indices((4, 5))
        indices((4, 5), sparse=True)
        fromfunction(grid_sum, (5, 6), chunks=3) => fromfunction(grid_sum, (5, 6))
        oo.arange :: arange(7, chunks=2) * v[:7] => arange(7) * v[:7]
        oo.ones :: ones((7, 8), chunks=2) + a => 1 + a
    """),
    *cases("""
        linspace(0, 3, 11, chunks=4) => linspace(0, 3, 11)
        linspace(1, 2, 5, endpoint=False)
        logspace(0, 2, 7)
        geomspace(1, 1000, 7)

        map_blocks(double, a) => a * 2
        map_blocks(double, a, dtype=float) => a * 2
        map_blocks(weighted, a, b, factor=3.0, dtype=float) => a * 3.0 + b
        map_blocks(weighted, a, 2.0, dtype=float) => a + 2.0
        map_blocks(row_sums, a.rechunk((3, 8)), drop_axis=1, dtype=float) => a.sum(axis=1)
        map_blocks(placed, i, dtype="i4") => \
i + (10 * (arange(7) // 3)[:, None] + arange(8) // 3).astype("i4")
        map_blocks(corners, i, dtype="i4") => \
i + (3 * (arange(7) // 3)[:, None] + 3 * (arange(8) // 3)).astype("i4")
        oo.map_blocks :: map_blocks(double, a + b, dtype=float).sum(axis=0) => \
((a + b) * 2).sum(axis=0)
        a.map_blocks(double) => a * 2
        i.map_blocks(double, dtype="i4") => i * 2
        oo.kernel :: map_blocks(kernel(doubled), a, dtype=float) => a * 2
    """),
]
