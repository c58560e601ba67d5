"""Scripts written for dask.array, run as they are and again with the import changed."""

from __future__ import annotations

import contextlib
import io
import textwrap

import pytest

import oocarray as oo

SCRIPTS = {
    "z-score": """
        import numpy as np
        import dask.array as da

        a = np.arange(600, dtype="f8").reshape(60, 10) ** 1.5
        x = da.from_array(a, chunks=(16, 5))
        print(x.shape, x.dtype, x.chunks, x.numblocks, x.chunksize, x.ndim, x.size, x.nbytes)
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        print(z.sum(axis=0).round(6).compute() + 0.0)
        print(z.std(axis=0).compute().round(12), z.min().compute().round(9))
        low, high, mean = da.compute(x.min(), x.max(), x.mean())
        print(low, high, round(mean, 6))
        print(x.mean(axis=0).compute().round(6), x.var(axis=1, ddof=1)[:3].compute().round(6))
        print(da.percentile(x[:, 0].rechunk(-1), [0, 100]).compute())
        print(np.asarray(x[:2, :3]).round(4), len(x), float(x[0, 0]), bool(da.all(x >= 0)))
    """,
    "histogram and masks": """
        import numpy as np
        import dask.array as da

        a = (np.arange(1000) * 7919 % 1009).astype("f4").reshape(100, 10)
        x = da.from_array(a, chunks=(30, 10))
        counts, edges = da.histogram(x, bins=8, range=(0, 1009))
        share = counts / counts.sum()
        print(counts.compute(), share.compute(), np.asarray(edges))
        digits = da.digitize(x, bins=np.array([100, 500, 900]))
        print([int((digits == i).sum().compute()) for i in range(4)])
        print(da.bincount(digits.ravel(), minlength=4).compute())
        y = da.where(x > 500, x, 0)
        print(y.sum().compute(), (~(x > 500)).sum().compute(), da.count_nonzero(y).compute())
        some = x[x > 990]
        print(some.shape)
        some.compute_chunk_sizes()
        print(some.shape, some.compute())
        print(da.isnan(da.where(x > 1000, np.nan, x)).sum().compute())
        print(da.nanmean(da.where(x > 1000, np.nan, x), axis=0).compute().round(2))
        rows = x[x.sum(axis=1) > 5500]
        print(rows.compute()[:, :3])
        print(da.unique(digits).compute(), da.argmax(x, axis=0).compute())
        values, times = da.unique(digits, return_counts=True)
        print(*da.compute(values, times))
        print(da.clip(x, 100, 200).max().compute(), x.clip(100, 200).min().compute())
        print(da.topk(x.ravel(), 3).compute(), da.isin(x, [5, 6]).sum().compute())
    """,
    "shapes": """
        import numpy as np
        import dask.array as da

        x = da.arange(48, chunks=12).reshape(8, 6).rechunk((4, 3))
        print(x.chunks, x.numblocks, x.T.shape, x.T.compute()[0])
        x = x.rechunk({0: 2, 1: -1})
        print(x.chunks, da.rechunk(x, 3).chunks)
        y = da.concatenate([x, x[::-1]], axis=1)
        print(y.shape, y[1:3, ::4].compute(), y[-1].compute(), y[[5, 0], 2].compute())
        s = da.stack([x, x * 2, -x])
        print(s.shape, s.transpose(2, 0, 1)[0].compute(), s.sum(axis=(0, 2)).compute())
        print(da.vstack([x[:1], x[2:3]]).compute(), da.hstack([x[:2], x[:2]]).compute())
        print(x[..., None].shape, da.squeeze(x[:1]).compute(), da.moveaxis(s, 0, -1).shape)
        print(da.roll(x, 1, axis=0)[0].compute(), da.flip(x, 0)[0].compute())
        print(da.tril(da.ones((3, 3), chunks=2)).compute(), da.diff(x, axis=1)[0].compute())
        print(da.block([[x[:1, :2], x[:1, 2:3]]]).compute(), da.tile(x[0], 2).compute())
        print(da.pad(x[:2, :2], 1, mode="constant").compute(), da.repeat(x[0], 2).compute())
        print(da.tensordot(x, x.T, axes=1)[0].compute(), (x @ x.T)[1].compute(), x.dot(x.T).shape)
        print(x.astype("f4").dtype, x.flatten()[5].compute(), x.swapaxes(0, 1).shape)
        print(da.take(x, [1, 3], axis=1)[0].compute(), x.vindex[[0, 1], [2, 3]].compute())
        print(da.cumsum(x, axis=0)[-1].compute(), x.cumsum(axis=1)[0].compute())
        x[0] = 99
        x[x > 90] = -1
        print(x[0].compute(), x.min().compute())
    """,
    "creation and blocks": """
        import numpy as np
        import dask.array as da

        def scaled(block, factor=1):
            return block.astype("f8") * factor

        x = da.linspace(0, 1, 11, chunks=4)
        print(x.compute(), x.chunks)
        ones = da.ones((6, 4), chunks=(3, 2), dtype="i4")
        print(ones.chunks, ones.sum().compute(), da.zeros(5, chunks=2).compute())
        print(da.full((2, 2), 3, chunks=1).compute(), da.eye(3, chunks=2).compute())
        y = da.map_blocks(scaled, ones, factor=2.5, dtype="f8")
        print(y.compute(), y.dtype, y.chunks)
        z = ones.map_blocks(lambda b: b.sum(axis=0, keepdims=True), chunks=(1, 2), dtype="i8")
        print(z.shape, z.compute())
        w = da.map_blocks(np.add, ones, y, dtype="f8")
        print(w.sum(axis=1).compute())
        first = ones.map_blocks(lambda b: b[0], drop_axis=0, dtype="i4")
        print(first.shape, first.chunks)
        place = ones.map_blocks(
            lambda b, block_info=None: b * block_info[0]["chunk-location"][0], dtype="i4"
        )
        print(place.compute())
        kept = y.persist()
        print(kept.sum().compute())
        xx, yy = da.meshgrid(da.arange(3, chunks=2), da.arange(2, chunks=2))
        print(xx.compute(), yy.compute(), da.indices((2, 2), chunks=1).compute())
        target = np.zeros((6, 4))
        da.store(y, target)
        print(target)
        print(da.reduction(y, np.sum, np.sum, axis=0, dtype="f8").compute())
        print(da.asarray([1, 2, 3]).compute(), da.from_array(np.arange(4), chunks="auto").shape)
        f = da.fromfunction(lambda i, j: i + 10 * j, shape=(3, 2), chunks=(2, 2), dtype="f8")
        print(f.compute(), np.sqrt(f).dtype, da.exp(f * 0).compute())
        print(da.broadcast_to(da.arange(3, chunks=3), (2, 3)).compute())
        print(da.outer(da.arange(3, chunks=2), da.arange(2, chunks=2)).compute())
        print(da.average(f, axis=0, weights=np.array([1, 2, 3])).compute().round(9))
        print(da.einsum("ij,kj->ik", f, f).compute(), da.linalg.norm(f).compute().round(9))
        print(da.select([f > 10, f > 1], [f, -f], 0).compute(), da.argtopk(f[:, 0], 2).compute())
        print(da.allclose(f, f).compute(), da.ptp(f, axis=0).compute(), da.trace(f).compute())
    """,
}


def printed(script: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
    return text.getvalue()


@pytest.mark.parametrize("name", SCRIPTS)
def test_after_changing_its_import(name: str) -> None:
    script = textwrap.dedent(SCRIPTS[name])
    changed = script.replace("import dask.array as da", "import oocarray as da")
    assert changed != script
    expected = printed(script)
    assert len(expected.splitlines()) > 8
    with oo.options(scheduler="threads", workers=2, progress=False):
        assert printed(changed).splitlines() == expected.splitlines()
