"""Arrays of all formats through the public names, against what NumPy makes of the same elements."""

import json
import os
import warnings

import numpy as np
import pytest

import oocarray as oo
from oocarray.errors import CorruptChunkError, FormatError, InputChangedError, PlanError
from oocarray.storage.layout import Strided
from oocarray.storage.tiled import Tiled

h5py = pytest.importorskip("h5py")
tensorstore = pytest.importorskip("tensorstore")
zarr = pytest.importorskip("zarr")

SHAPE = (61, 47)
SCHEDULERS = ("serial", "threads", "processes")


def elements(dtype="f4"):
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) * 7 % 1009 - 300).astype(dtype)


def by_zarr(path, array, **how):
    made = zarr.create_array(path, shape=array.shape, dtype=array.dtype, **how)
    made[...] = array
    return path


def plain(path, array):
    return by_zarr(path, array, chunks=(20, 16), compressors=None)


def shards(path, array):
    return by_zarr(path, array, chunks=(5, 8), shards=(20, 16), compressors=None)


def swapped(path, array):
    return by_zarr(
        path, array.astype(array.dtype.newbyteorder(">")), chunks=(9, 47), compressors=None
    )


def version_2(path, array):
    how = {"zarr_format": 2, "order": "F", "filters": None}
    return by_zarr(path, array, chunks=(20, 16), compressors=None, **how)


def compressed(path, array):
    return by_zarr(path, array, chunks=(20, 16), compressors="auto")


def by_tensorstore(path, array):
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    spec["metadata"] = {
        "shape": list(array.shape),
        "data_type": array.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [24, 20]}},
        "codecs": [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": [6, 10],
                    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                    "index_location": "start",
                },
            }
        ],
    }
    made = tensorstore.open(spec, create=True).result()
    made[...] = array
    return path


def hdf5(path, array):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=array)
    return path


def hdf5_chunks(path, array):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=array, chunks=(10, 20), compression="gzip")
    return path


def classic(path, array):
    from scipy.io import netcdf_file

    with netcdf_file(path, "w") as file:
        for name, extent in zip("yx", array.shape, strict=True):
            file.createDimension(name, extent)
        file.createVariable("x", array.dtype, ("y", "x"))[:] = array
    return path


def stack(path, array):
    path.mkdir()
    for number, part in enumerate(np.array_split(array, [7, 7, 40])):
        np.save(path / f"part{number}.npy", part)
    return str(path / "*.npy")


MAKERS = [
    *(plain, shards, swapped, version_2, compressed, by_tensorstore),
    *(hdf5, hdf5_chunks, classic, stack),
]
IN_PLACE = [plain, shards, swapped, version_2, by_tensorstore, hdf5, classic]
MAPPED = [plain, shards, swapped, version_2, by_tensorstore, stack]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_elements_are_those_that_were_written(tmp_path, make, scheduler):
    a = elements()
    x = oo.open(make(tmp_path / "x", a))
    assert x.shape == a.shape
    assert x.dtype.newbyteorder("=") == a.dtype
    with oo.options(scheduler=scheduler, workers=2):
        np.testing.assert_array_equal(x.compute(), a)
        for key in ((slice(3, 50, 4), slice(None, None, -1)), (5,), (..., -1), (slice(0, 0),)):
            np.testing.assert_array_equal(x[key].compute(), a[key])
        np.testing.assert_array_equal((x[::-2].T + 1).compute(), a[::-2].T + 1)
        np.testing.assert_array_equal(x[[5, 1, 60]].compute(), a[[5, 1, 60]])
        np.testing.assert_array_equal(x.reshape(-1)[100:200].compute(), a.reshape(-1)[100:200])
        assert x.sum().compute() == a.sum(dtype="f8")
        np.testing.assert_array_equal(x.max(axis=0).compute(), a.max(axis=0))
        np.testing.assert_array_equal(x.map_blocks(np.negative).compute(), -a)


@pytest.mark.parametrize("make", MAPPED)
def test_reductions_have_the_same_bits_however_they_are_run(tmp_path, make):
    rng = np.random.default_rng(1)
    a = rng.normal(size=(3000, 47))
    x = oo.open(make(tmp_path / "x", a))
    found = set()
    for scheduler in SCHEDULERS:
        for how in ({}, {"memory": "24 MiB"}, {"workers": 1}, {"fuse": True}):
            value = x.std(axis=0).compute(scheduler=scheduler, **how)
            found.add((value.tobytes(), x.sum().compute(scheduler=scheduler, **how).tobytes()))
    assert len(found) == 1
    np.testing.assert_allclose(np.frombuffer(found.pop()[0]), a.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("make", IN_PLACE)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_arrays_are_changed_where_they_lie(tmp_path, make, scheduler):
    a = elements("i4")
    path = make(tmp_path / "x", a)
    y = oo.open(path, "r+")
    with oo.options(scheduler=scheduler, workers=2):
        y += 3
        a += 3
        y[10:40:3, 5:-4] = -9
        a[10:40:3, 5:-4] = -9
        y[2] = np.arange(47)
        a[2] = np.arange(47)
        y[y > 500] = 0
        a[a > 500] = 0
        y[[1, 5, 7]] = 44
        a[[1, 5, 7]] = 44
        oo.update_blocks(lambda block: np.multiply(block, 2, out=block), y)
        a *= 2
        np.testing.assert_array_equal(y.compute(), a)
    again = oo.open(path)
    np.testing.assert_array_equal(again.compute(), a)
    if os.path.isdir(path):
        np.testing.assert_array_equal(zarr.open_array(path)[...], a)
        assert not [name for name in os.listdir(path) if name.endswith(".part")]


def test_an_array_without_chunks_is_filled_in_where_it_is_changed(tmp_path):
    for number, how in enumerate(({}, {"shards": (20, 16)})):
        path = tmp_path / f"x{number}"
        zarr.create_array(
            path, shape=SHAPE, dtype="f8", chunks=(10, 8), compressors=None, fill_value=2.5, **how
        )
        a = np.full(SHAPE, 2.5)
        y = oo.open(path, "r+")
        np.testing.assert_array_equal(y.compute(), a)
        y[3:8, 40:] = 1
        a[3:8, 40:] = 1
        np.testing.assert_array_equal(zarr.open_array(path)[...], a)
        np.testing.assert_array_equal(y.compute(), a)


# ---- storing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunks": (20, 16)},
        {"chunks": (20, 16), "shards": False},
        {"chunks": (5, 8), "shards": (20, 16)},
        {"chunks": (20, 16), "compressors": "zstd"},
        {"compressors": "gzip", "dims": ("y", "x")},
    ],
    ids=str,
)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_others_read_what_is_stored(tmp_path, how, scheduler):
    a = elements()
    with oo.options(scheduler=scheduler, workers=2):
        made = (oo.from_array(a) * 2).store(tmp_path / "x.zarr", **how)
        np.testing.assert_array_equal(made.compute(), a * 2)
        function = oo.from_array(a, chunks=(25, 47)).map_blocks(np.negative)
        function.store(tmp_path / "y.zarr", **how)
    assert sorted(os.listdir(tmp_path)) == ["x.zarr", "y.zarr"]
    for name, wanted in (("x.zarr", a * 2), ("y.zarr", -a)):
        np.testing.assert_array_equal(zarr.open_array(tmp_path / name)[...], wanted)
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / name)}}
        np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), wanted)
    if "dims" in how:
        assert made.dims == ("y", "x")


def test_stores_are_whole_or_not_there(tmp_path):
    def fails(block):
        raise ArithmeticError("no")

    x = oo.from_array(elements(), chunks=(25, 47)).map_blocks(fails, dtype="f4")
    with pytest.raises(ArithmeticError):
        x.store(tmp_path / "x.zarr")
    assert os.listdir(tmp_path) == []
    oo.from_array(elements()).store(tmp_path / "x.zarr")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        oo.from_array(elements()).store(tmp_path / "x.zarr")
    with pytest.raises(ArithmeticError):
        x.store(tmp_path / "x.zarr", overwrite=True)
    np.testing.assert_array_equal(oo.open(tmp_path / "x.zarr").compute(), elements())
    oo.from_array(elements() + 1).store(tmp_path / "x.zarr", overwrite=True)
    np.testing.assert_array_equal(oo.open(tmp_path / "x.zarr").compute(), elements() + 1)


def test_words_for_zarr_are_refused_elsewhere(tmp_path):
    x = oo.from_array(elements())
    with pytest.raises(TypeError, match="chunks= is for Zarr arrays"):
        x.store(tmp_path / "x.npy", chunks=(5, 5))
    with pytest.raises(TypeError, match="are for Zarr arrays"):
        oo.create(tmp_path / "x.npy", (3,), compressors="zstd")
    with pytest.raises(TypeError, match="is for new Zarr arrays"):
        x.store(np.empty(SHAPE, "f4"), chunks=(5, 5))
    with pytest.raises(ValueError, match=r"name it \.npy or \.zarr"):
        x.store(tmp_path / "x.bin")


@pytest.mark.parametrize("shards", ["auto", False])
def test_a_created_array_is_complete(tmp_path, shards):
    y = oo.create(tmp_path / "y.zarr", SHAPE, "i2", chunks=(16, 47), fill_value=7, shards=shards)
    assert y.mode == "r+"
    np.testing.assert_array_equal(
        zarr.open_array(tmp_path / "y.zarr")[...], np.full(SHAPE, 7, "i2")
    )
    y[1:3] = 2
    assert int(y.sum().compute()) == 7 * 59 * 47 + 2 * 2 * 47


def test_what_is_compressed_is_changed_by_whole_chunks(tmp_path):
    y = oo.create(tmp_path / "y.zarr", SHAPE, "f4", chunks=(20, 16), compressors="zstd")
    y[...] = elements()
    y += 1
    oo.update_blocks(lambda block: np.negative(block, out=block), y)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "y.zarr")[...], -elements() - 1)
    with pytest.raises(PlanError, match="do not consist of whole chunks"):
        y[3:5] = 0


# ---- what files say ------------------------------------------------------------------------------


def packed(path):
    with zarr.config.set({"array.write_empty_chunks": True}):
        group = zarr.create_group(path, attributes={"title": "a day"})
        stored = np.arange(12, dtype="i2").reshape(3, 4)
        stored[1, 2] = -1
        t = group.create_array(
            "t2m",
            shape=(3, 4),
            dtype="i2",
            chunks=(2, 4),
            compressors=None,
            dimension_names=["lat", "lon"],
            attributes={"scale_factor": 0.5, "add_offset": 270.0, "_FillValue": -1, "units": "K"},
        )
        t[...] = stored
        group.create_group("deep").create_array("z", data=np.arange(5.0), compressors=None)
    return stored


def test_names_and_attributes_are_kept_and_packed_numbers_decoded(tmp_path):
    stored = packed(tmp_path / "ds.zarr")
    for x in (
        oo.open(tmp_path / "ds.zarr", dataset="t2m"),
        oo.open(tmp_path / "ds.zarr" / "t2m"),
        oo.open_group(tmp_path / "ds.zarr")["t2m"],
    ):
        assert x.dims == ("lat", "lon")
        assert x.attrs["units"] == "K"
        np.testing.assert_array_equal(x.compute(), stored)
    meant = np.where(stored == -1, np.nan, stored * 0.5 + 270)
    y = oo.open(tmp_path / "ds.zarr", dataset="t2m", decode=True)
    assert (y.dims, y.dtype) == (("lat", "lon"), np.dtype("f8"))
    np.testing.assert_array_equal(y.compute(), meant)
    group = oo.open_group(tmp_path / "ds.zarr", decode=True)
    assert sorted(group) == ["deep/z", "t2m"]
    assert group.attrs["title"] == "a day"
    np.testing.assert_array_equal(group["t2m"].compute(), meant)
    np.testing.assert_array_equal(group["deep/z"].compute(), np.arange(5.0))
    assert "t2m" in repr(group)
    with pytest.raises(KeyError):
        group["t3m"]
    with pytest.raises(FormatError, match=r"'deep/z' \(5,\) float64, 't2m' \(3, 4\) int16"):
        oo.open(tmp_path / "ds.zarr")
    x.store(tmp_path / "copy.zarr")
    copy = oo.open(tmp_path / "copy.zarr")
    assert (copy.dims, dict(copy.attrs)) == (x.dims, dict(x.attrs))


def test_xarray_decodes_the_same(tmp_path):
    xarray = pytest.importorskip("xarray")
    stored = packed(tmp_path / "ds.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = xarray.open_zarr(tmp_path / "ds.zarr", consolidated=False, chunks=None)["t2m"]
    ours = oo.open(tmp_path / "ds.zarr", dataset="t2m", decode=True)
    np.testing.assert_array_equal(ours.compute(), theirs.values)
    assert stored.shape == theirs.shape


# ---- what is wrong -------------------------------------------------------------------------------


def test_a_rewritten_array_is_noticed(tmp_path):
    path = plain(tmp_path / "x.zarr", elements())
    x = oo.open(path)
    x.sum().compute()
    zarr.create_array(path, shape=(3, 3), dtype="i8", chunks=(3, 3), overwrite=True)
    with pytest.raises(InputChangedError, match=r"zarr\.json"):
        x.sum().compute()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("make", [plain, shards, compressed])
def test_a_damaged_chunk_is_named(tmp_path, make, scheduler):
    path = make(tmp_path / "x.zarr", elements())
    chunk = path / "c" / "1" / "2"
    data = bytearray(chunk.read_bytes())
    if make is shards:
        data[-4:] = b"zzzz"
    else:
        data = data[:-5]
    chunk.write_bytes(data)
    x = oo.open(path)
    with pytest.raises(CorruptChunkError) as caught:
        x.sum().compute(scheduler=scheduler)
    assert caught.value.chunk == ((4, 4) if make is shards else (1, 2))


def test_an_absurd_grid_opens_and_is_refused_when_it_is_used(tmp_path):
    path = plain(tmp_path / "x.zarr", elements("u1"))
    document = json.loads((path / "zarr.json").read_text())
    document["shape"] = [1 << 62, 1]
    document["chunk_grid"]["configuration"]["chunk_shape"] = [1, 1]
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises((FormatError, ValueError)):
        oo.open(path).sum().compute()


def test_plain_and_decoded_are_told_apart(tmp_path):
    x = oo.open(hdf5(tmp_path / "x.h5", elements()))
    assert isinstance(x.layout, Strided)
    x = oo.open(compressed(tmp_path / "x.zarr", elements()))
    assert isinstance(x.layout, Tiled)
    assert x.layout.table.encoded
    assert "decoded" in str(x.sum().explain())


def test_arguments_that_do_not_go_together(tmp_path):
    np.save(tmp_path / "x.npy", elements())
    with pytest.raises(TypeError, match="leave out dataset="):
        oo.open(tmp_path / "x.npy", dataset="a")
    with pytest.raises(TypeError, match="several files"):
        oo.open(tmp_path / "x.npy", stack=True)
    with pytest.raises(PermissionError, match="for reading"):
        oo.open([tmp_path / "x.npy"], mode="r+")
    with pytest.raises(TypeError, match="decode=True makes an expression"):
        oo.open(tmp_path / "x.npy", mode="r+", decode=True)
    with pytest.raises(PermissionError, match="rows can be appended"):
        oo.open(plain(tmp_path / "x.zarr", elements()), mode="a")
    (tmp_path / "x.bin").write_bytes(b"12345678")
    with pytest.raises(FormatError, match="is in no format known here"):
        oo.open(tmp_path / "x.bin")
    with pytest.raises(FormatError, match="is no group"):
        oo.open_group(tmp_path / "x.npy")


def test_large_chunks_are_worked_on_in_little_memory_where_they_are_mapped(tmp_path):
    a = np.random.default_rng(3).normal(size=(1024, 1024)).astype("f4")
    plain_one = by_zarr(tmp_path / "x", a, chunks=(1024, 1024), compressors=None)
    packed_one = by_zarr(tmp_path / "y", a, chunks=(1024, 1024), compressors="auto")
    x = oo.open(plain_one)
    wanted = [x.mean().compute(), *x.std(axis=0).compute()]
    with oo.options(memory="3 MiB", workers=1, scheduler="serial"):
        assert [x.mean().compute(), *x.std(axis=0).compute()] == wanted
        (x + 1).store(tmp_path / "z.zarr")
        with pytest.raises(oo.BudgetError, match="give at least"):
            oo.open(packed_one).mean().compute()
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "z.zarr")[...], a + 1)


@pytest.mark.parametrize("dtype", ["<f8", ">f8", ">i4"])
@pytest.mark.parametrize("how", [{"shards": False}, {}, {"compressors": "zstd"}], ids=str)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_single_elements_keep_their_byte_order(tmp_path, dtype, how, scheduler):
    with oo.options(scheduler=scheduler, workers=1):
        x = oo.create(tmp_path / "none.zarr", (), dtype, **how)
        x[...] = 8
        assert x.compute() == zarr.open_array(tmp_path / "none.zarr")[...] == 8
        if "compressors" not in how:
            y = oo.create(tmp_path / "one.zarr", (3,), dtype, chunks=(3,), **how)
            y[...] = 1
            y[1] = 6
            assert y.compute().tolist() == zarr.open_array(tmp_path / "one.zarr")[...].tolist()
            assert y.compute().tolist() == [1, 6, 1]
        oo.from_array(np.array(1.0)).store(tmp_path / "zero.zarr", **how)
        assert zarr.open_array(tmp_path / "zero.zarr")[...] == 1


def test_expressions_over_pieces_have_the_same_bits_under_any_budget(tmp_path):
    """Blocks are cut finer where memory is little; the leaves of what is reduced are not."""
    array = np.random.default_rng(5).random((1024, 2048))
    oo.from_array(array).store(tmp_path / "x.zarr", chunks=(256, 2048), shards=False)
    np.save(tmp_path / "a.npy", array[:300])
    np.save(tmp_path / "b.npy", array[300:])
    for x in (
        oo.open(tmp_path / "x.zarr"),
        oo.open([tmp_path / "a.npy", tmp_path / "b.npy"]),
    ):
        found = {
            (x * 2).var(axis=0).compute(memory=memory, workers=2, scheduler="threads").tobytes()
            for memory in ("1 GiB", "64 MiB", "24 MiB", "12 MiB")
        }
        assert len(found) == 1
