"""How arrays show themselves and what explain tells: true, escaped, and without computing."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import oocarray as oo
from oocarray.backends import measured
from oocarray.backends.measured import Measuring, last_run
from oocarray.drawing import html_of
from oocarray.lazy.counted import CountedNode
from oocarray.lazy.expr import OpNode
from oocarray.plan import Advanced, Began, Ended
from oocarray.showing import Tree, facts_of

SERIAL = {"scheduler": "serial"}


def never(*blocks, **words):
    raise AssertionError("showing must not compute")


def saved(folder: Path, array, name: str = "x.npy") -> oo.Array:
    np.save(folder / name, array)
    return oo.open(folder / name)


def preview(x) -> str:
    return repr(x).partition("\n")[2]


# ---- repr --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (6,), (7,), (50,), (3, 4), (9, 40), (4, 8, 9)])
@pytest.mark.parametrize("dtype", ["f8", ">i4", "?", "M8[s]", "c8", "S3", "U2", "u1,>f4"])
def test_the_corners_are_those_that_numpy_prints(tmp_path: Path, shape, dtype: str) -> None:
    size = int(np.prod(shape))
    raw = np.random.default_rng(1).integers(0, 90, size).reshape(shape)
    array = np.zeros(shape, dtype)
    if array.dtype.names:
        array["f0"], array["f1"] = raw, raw / 4
    else:
        array[...] = raw.astype(dtype)
    for given in (array, np.asfortranarray(array)):
        expected = np.array2string(given, threshold=0, edgeitems=3)
        assert preview(saved(tmp_path, given)) == expected
        assert preview(oo.from_array(given)) == expected


def test_the_line_is_as_it_was(tmp_path: Path) -> None:
    x = saved(tmp_path, np.zeros((5, 7), "i2"))
    line = f"<oocarray.Array {tmp_path}/x.npy (r): shape=(5, 7), dtype=int16, 70 B, 1 block of (5"
    assert repr(x).startswith(line + ", 7)>\n[[")


def test_views_show_their_own_corners(tmp_path: Path) -> None:
    array = np.arange(600).reshape(20, 30)
    x = saved(tmp_path, array)
    for key in (np.s_[::-1, 5:25:2], np.s_[3], np.s_[:, 4]):
        assert preview(x[key]) == np.array2string(array[key], threshold=0)
    assert preview(oo.from_array(np.broadcast_to(7, (100, 100)))).count("7") == 36


def test_kept_arrays_show_their_corners() -> None:
    kept = oo.persist(oo.from_array(np.arange(20.0)) * 2, **SERIAL)[0]
    assert preview(kept) == "[ 0.  2.  4. ... 34. 36. 38.]"


def test_few_elements_are_read_of_a_large_file(tmp_path: Path, monkeypatch) -> None:
    x = oo.create(tmp_path / "x.npy", (1 << 12, 1 << 10, 1 << 8), "f8")
    calls = []
    read = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: calls.append(n) or read(fd, n, at))
    assert preview(x).count("0.") == 216
    assert sum(calls) <= 7**3 * 8


def test_more_than_four_axes_have_no_preview_and_four_a_short_one() -> None:
    assert preview(oo.from_array(np.zeros((2,) * 5))) == ""
    assert preview(oo.from_array(np.arange(10**4).reshape((10,) * 4))).count("\n") < 40


def test_what_cannot_be_had_at_once_is_no_error(tmp_path: Path) -> None:
    array = np.arange(100.0)
    x = saved(tmp_path, array)
    (tmp_path / "x.npy").unlink()
    assert "\n" not in repr(x)
    x = saved(tmp_path, array)
    view = x.view()
    with open(tmp_path / "x.npy", "r+b") as file:
        file.truncate(200)
    assert "\n" not in repr(x)
    del view
    x = saved(tmp_path, array)
    time.sleep(0.02)
    np.save(tmp_path / "x.npy", array + 1)
    assert "\n" not in repr(x)
    x.close()
    assert repr(x) == f"<oocarray.Array, closed: {tmp_path}/x.npy (r)>"
    assert "\n" not in repr(saved(tmp_path, np.zeros((0, 3))))
    bad = np.frombuffer(b"\xff\xff\xff\xff" * 2, "<U1")
    assert repr(oo.from_array(bad)).startswith("<oocarray.Array in memory")


def test_what_was_written_is_shown(tmp_path: Path) -> None:
    x = oo.create(tmp_path / "x.npy", (4,), "i4")
    x[1:3] = 9
    assert preview(x) == "[0 9 9 0]"


def test_computed_arrays_have_one_line_and_call_nothing() -> None:
    x = oo.from_array(np.arange(12.0).reshape(3, 4), chunks=(2, 4))
    y = x.map_blocks(never)
    assert repr(y) == (
        "<oocarray.Array never: shape=(3, 4), dtype=not known yet, 2 blocks of (2, 4)>"
    )
    z = x.map_blocks(never, dtype="f8", w=x.map_blocks(never))
    for array in (y, z, z.mean(), z[z > 0], -z[z > 0]):
        for text in (repr(array), html_of(array), array.tree()):
            assert text
    assert "shape=(nan,)" in repr(-z[z > 0])


def test_hostile_elements_do_no_harm() -> None:
    class Loud(np.ndarray):
        def __getitem__(self, key):
            raise RuntimeError

    assert repr(oo.from_array(np.zeros(3).view(Loud)))
    with np.printoptions(formatter={"all": never}):
        assert "\n" not in repr(oo.from_array(np.zeros(3)))


# ---- html --------------------------------------------------------------------------------------


def parsed(x) -> ET.Element:
    text = x._repr_html_().replace("&times;", "x")
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "<script" not in text
    return ET.fromstring(text)


def svg(x) -> ET.Element | None:
    return parsed(x).find(".//{http://www.w3.org/2000/svg}svg")


def table(x) -> dict[str, str]:
    rows = ["".join(cell.itertext()) for cell in parsed(x).iter("tr") for cell in cell]
    return dict(zip(rows[::2], rows[1::2], strict=True))


def test_the_table_says_what_there_is(tmp_path: Path) -> None:
    x = oo.create(tmp_path / "a&<b>'\".npy", (1000, 600), ">f4", fill_value=1)
    found = table(x.rechunk((300, 600)))
    assert found == {
        "Array": f"{tmp_path}/a&<b>'\".npy (r+)",
        "Shape": "(1000, 600)",
        "Dtype": ">f4",
        "Bytes": "2.29 MiB",
        "Blocks": "4 blocks (4 x 1)",
        "Largest": "(300, 600), 703 KiB",
    }


def test_names_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    x = saved(tmp_path, np.zeros(3), "a\n\x1b[1m\udcff.npy")
    x._repr_html_().encode()
    x.tree().encode()
    assert "\\n\\x1b[1m\\udcff.npy" in table(x)["Array"]
    assert len(x.tree().splitlines()) == 1
    x.close()
    assert "closed" in "".join(parsed(x).itertext())
    with pytest.raises(oo.ClosedError):
        x.tree()


def lines(x) -> int:
    """Lines between blocks, on all faces."""
    found = svg(x)
    assert found is not None
    paths = [p.get("d", "") for p in found.iter("{http://www.w3.org/2000/svg}path")]
    return sum(len(re.findall(r"M[^MLZ]+L[^MLZ]+(?=M|$)", d)) for d in paths)


@pytest.mark.parametrize(
    ("shape", "chunks", "count"),
    [
        ((100,), 25, 3),
        ((100, 80), (25, 40), 4),
        ((60, 80, 90), (30, 20, 90), 1 + 3 + 3 + 1),
        ((2, 60, 80, 90), (1, 30, 20, 90), 1 + 3 + 3 + 1),
    ],
)
def test_the_grid_is_drawn(shape, chunks, count: int) -> None:
    assert lines(oo.from_array(np.broadcast_to(0.0, shape), chunks=chunks)) == count


def test_many_blocks_are_thinned_out() -> None:
    x = oo.from_array(np.broadcast_to(0.0, (10**5, 10**5, 10**5)), chunks=(100, 100, 100))
    assert 50 < lines(x) <= 6 * 30
    assert "not every block" in "".join(parsed(x).itertext())
    assert len(x._repr_html_()) < 20_000


def test_it_is_drawn_to_scale_or_says_that_it_is_not() -> None:
    wide = oo.from_array(np.broadcast_to(0.0, (100, 200)))
    front = next(svg(wide).iter("{http://www.w3.org/2000/svg}path")).get("d")
    x = [float(n) for n in re.findall(r"[ML]([-\d.]+),", front)]
    y = [float(n) for n in re.findall(r",([-\d.]+)", front)]
    assert (max(x) - min(x)) / (max(y) - min(y)) == pytest.approx(2, rel=0.02)
    assert "not to scale" not in wide._repr_html_()
    assert "not to scale" in oo.from_array(np.broadcast_to(0.0, (10**6, 3)))._repr_html_()


def test_nothing_is_drawn_of_nothing() -> None:
    x = oo.from_array(np.arange(12.0).reshape(3, 4), chunks=(2, 4))
    nowhere = oo.from_array(np.zeros((0, 3)))
    for array in (nowhere, x[x > 3], -x[x > 3], oo.from_array(np.float64(3))):
        assert svg(array) is None
        assert table(array)["Shape"] == str(array.shape)
    unknown = x.map_blocks(never, chunks=((np.nan, np.nan), (4,)))
    assert svg(unknown) is None
    assert table(unknown)["Bytes"] == table(unknown)["Dtype"] == "not known yet"


# ---- tree ----------------------------------------------------------------------------------------


def test_the_tree_says_each_node_once(tmp_path: Path) -> None:
    x = saved(tmp_path, np.zeros((4, 6)))
    y = x.rechunk((2, 6))
    z = (y - y.mean()).map_blocks(never, w=y.max(axis=0), dtype="f4")
    tree = z.tree()
    assert isinstance(tree, Tree)
    assert repr(tree) == str(tree)
    assert tree.splitlines() == [
        "  1  never (4, 6) float32, 2 blocks of (2, 6)",
        "  2    subtract (4, 6) float64, 2 blocks of (2, 6)",
        f"  3      {tmp_path}/x.npy (4, 6) float64, 2 blocks of (2, 6)",
        "  4      mean () float64, 1 block of ()",
        "           = 3 above",
        "  5    w=max (6,) float64, 1 block of (6,)",
        "         = 3 above",
    ]


def test_masks_positions_and_outputs_are_named() -> None:
    x = oo.from_array(np.arange(12.0).reshape(3, 4), chunks=(2, 4))
    assert "mask: greater (3, 4) bool" in x[x > 3].tree()
    places = oo.from_array(np.array([2, 0])).map_blocks(never, dtype=int)
    assert "at: never (2,) int64" in x[places].tree()
    first, _ = oo.map_blocks.options(nout=2)(never, x, dtype=("f8", "f4"))
    assert "output 0 of (3, 4) float64" in first.tree()
    assert " 2.5 () float64" in oo.from_array(np.array(2.5)).tree()


@pytest.mark.parametrize("kind", ["known", "unknown size", "unknown dtype"])
def test_deep_expressions_are_shown(kind: str) -> None:
    x = oo.from_array(np.arange(5.0))
    if kind == "unknown size":
        x = x[x > 2]
    elif kind == "unknown dtype":
        x = x.map_blocks(never)
    node = (-x).node
    assert isinstance(node, OpNode)
    for _ in range(3000):
        node = OpNode(node.operation, (node,))
    x = oo.Array(node)
    began = time.thread_time()
    tree = x.tree().splitlines()
    assert len(tree) == 201
    assert re.fullmatch(r" +\.\.\. and 2,8\d\d more", tree[-1])
    assert max(map(len, tree)) < 160
    assert "negative" in repr(x)
    assert "negative" in html_of(x)
    assert len(facts_of(x.node)) > 3000
    assert time.thread_time() - began < 3


# ---- explain -------------------------------------------------------------------------------------


def stages(text: str) -> list[str]:
    return re.findall(r"^stage \d+: (.*)$", text, re.MULTILINE)


def test_what_a_run_took_is_told_by_stage(tmp_path: Path) -> None:
    x = saved(tmp_path, np.ones((50, 60)))
    y = (x - x.mean()).std()
    assert "last run" not in y.explain(**SERIAL)
    y.compute(**SERIAL)
    text = y.explain(**SERIAL)
    assert stages(text) == ["mean", "std, after stage 0"]
    assert len(re.findall(r"^last run: [\d.]+ \w+ in all$", text, re.MULTILINE)) == 1
    line = r"^  measured: [\d.]+ \w+, [\d.e-]+ [MG]B/s, kernel [\d.]+ \w+$"
    assert len(re.findall(line, text, re.MULTILINE)) == 2
    assert "last run" not in (x - x.mean()).std().explain(**SERIAL)


def test_large_runs_tell_of_disk_and_memory(tmp_path: Path, monkeypatch) -> None:
    for limit in ("_LOOK_AT_DISK", "_LOOK_AT_MEMORY", "_EVERY"):
        monkeypatch.setattr(measured, limit, 0)
    y = saved(tmp_path, np.ones((400, 600))).rechunk((100, 600)) + 1
    y.store(tmp_path / "y.npy", **SERIAL)
    line = next(one for one in y.explain(**SERIAL).splitlines() if "measured:" in one)
    assert re.search(r", disk read \d.* \w+, written \d.* \w+, held at most \d.* \w+$", line)


def test_another_plan_gets_no_lines_of_stages() -> None:
    x = oo.from_array(np.ones((50, 60)))
    mean, std = x.mean(), x.std()
    oo.compute(mean, std, **SERIAL)
    text = mean.explain(**SERIAL)
    assert "in all, by other stages (mean, std)" in text
    assert "measured:" not in text


def test_runs_that_fail_are_told_too() -> None:
    x = oo.from_array(np.ones((4, 6)))

    def wrong(block):
        raise LookupError

    y = (x - x.mean()).map_blocks(wrong, dtype="f8")
    with pytest.raises(LookupError):
        y.compute(**SERIAL)
    text = y.explain(**SERIAL)
    assert re.search("^last run: failed after ", text, re.MULTILINE)
    assert re.search(r"^  measured: failed after [\d.]+ \w+, kernel", text, re.MULTILINE)


def test_what_was_measured_goes_with_the_node() -> None:
    y = oo.from_array(np.ones(5)).sum()
    y.compute(**SERIAL)
    assert last_run([y.node]) is not None
    count = len(measured._last)
    del y
    gc.collect()
    assert len(measured._last) < count
    assert last_run([]) is None


def test_whose_plan_it_is_is_told() -> None:
    x = oo.from_array(np.ones(8))
    told = (x + 1).explain(backend="dask").splitlines()
    assert told[0] == "dask makes a plan of its own; this is what oocarray would do itself"
    assert told[1:] == (x + 1).explain().splitlines()
    told = (x + 1).explain(backend="zarr").splitlines()
    assert told[0].startswith("zarr goes by this plan, a block at a time")
    assert told[1:] == (x + 1).explain().splitlines()


def test_measuring_costs_nothing_beside_a_tiny_run() -> None:
    node = oo.from_array(np.ones(5)).node

    def once() -> float:
        began = time.perf_counter()
        observer = Measuring([node], began)
        observer(Began(0, 1, "sum", 4, 1000, 1 << 30, "resident", (1, 2)))
        for _ in range(4):
            observer(Advanced(0, 1, 250))
        observer(Ended(0, 0.1, True, 0.1))
        return time.perf_counter() - began

    assert min(once() for _ in range(50)) < 1e-4


# ---- explain, before masks are counted -----------------------------------------------------------


def test_masks_are_explained_and_not_counted(tmp_path: Path) -> None:
    x = saved(tmp_path, np.arange(12.0).reshape(3, 4))
    y = x[x > 3]
    text = y.explain(**SERIAL)
    assert stages(text) == ["count of the mask of select: count_nonzero"]
    assert "then: select (nan,), its size known after the count" in text
    assert text.startswith("1 stage, reads 96 B, writes 8 B, then more\n")
    assert isinstance(y.node, CountedNode)
    assert y.node.counts.offsets is None
    y.compute(**SERIAL)
    text = y.explain(**SERIAL)
    assert "count" not in text
    assert "keeps the result in memory: (8,) float64" in text
    assert "measured:" in text


@pytest.mark.parametrize(
    "make",
    [
        lambda x, m: x[m],
        lambda x, m: -x[m],
        lambda x, m: x[m][x[m] > 5],
        lambda x, m: x[m].map_blocks(never),
        lambda x, m: x[m].map_blocks(never, dtype="f8"),
        lambda x, m: x.map_blocks(never, w=x[m], dtype="f8"),
        lambda x, m: x[m & (x < x.mean())],
        lambda x, m: x[x.map_blocks(never, dtype=bool)],
    ],
)
def test_whatever_is_above_a_mask_is_explained(tmp_path: Path, make) -> None:
    x = saved(tmp_path, np.arange(12.0).reshape(3, 4))
    try:
        y = make(x, x > 3)
    except (TypeError, ValueError, IndexError):
        pytest.skip("cannot be written yet")
    text = y.explain(**SERIAL)
    assert any(one.startswith("count of the mask") for one in stages(text))
    assert "then: " in text


def test_positions_and_keywords_are_passes_before() -> None:
    x = oo.from_array(np.arange(12.0).reshape(3, 4), chunks=(2, 4))
    places = oo.from_array(np.array([2, 0])).map_blocks(never, dtype=int)
    text = x[places].explain(**SERIAL)
    assert stages(text) == ["positions of take: never"]
    assert "then: take (2, 4), planned when its positions are known" in text
    text = (x - x.map_blocks(never, dtype="f8", w=(x - x.mean()).sum()).mean()).explain(**SERIAL)
    assert stages(text) == [
        "w= of never: mean",
        "w= of never: sum, after stage 0",
        "mean",
        "subtract, after stage 2",
    ]
    assert "  reads the result of stage 2 () float64" in text


def test_showing_imports_no_more_than_the_package() -> None:
    code = (
        "import oocarray as oo, numpy as np, sys\n"
        "x = oo.from_array(np.zeros((3, 4)))\n"
        "repr(x), x._repr_html_(), x.tree()\n"
        "assert not {'numba', 'zarr', 'dask', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
