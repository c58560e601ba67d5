"""What the suite has done, case by case, and how many bytes that must move; runs nothing."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CASES", "RIVALS", "SuiteCase", "SuiteRival"]

MIB = 1 << 20


@dataclass(frozen=True)
class SuiteCase:
    """One kind of work; each rival has a method of its name."""

    name: str
    title: str
    inputs: tuple[str, ...] = ("a",)
    """Names of files of `Dataset`."""
    passes: int = 1
    """How often the inputs must be read when memory does not hold them."""
    part: float = 1.0
    """Part of the inputs that is looked at."""
    writes: str = ""
    """``out``: a new array as large as an input; ``work``: the input itself."""
    cube: bool = False
    """Whether the input has three axes."""

    def planned_read(self, nbytes: int) -> int:
        """Bytes from the disk when nothing is cached."""
        return int(nbytes * len(self.inputs) * self.passes * self.part)

    def planned_written(self, nbytes: int) -> int:
        """Bytes to the disk."""
        return nbytes if self.writes else 0


CASES = {
    case.name: case
    for case in (
        SuiteCase("mean", "mean of the whole array"),
        SuiteCase("map", "2 x + 1 to new storage", writes="out"),
        SuiteCase("columns", "mean, std, min and max of each column"),
        SuiteCase("two", "a b + 1 of two files to new storage", ("a", "b"), writes="out"),
        SuiteCase("transcendental", "mean of sin(x)^2 + cos(x) exp(-|x|)"),
        SuiteCase("zscore", "(x - mean) / std by column to new storage", passes=2, writes="out"),
        SuiteCase("zarr", "2 x + 1, Zarr to Zarr, uncompressed", ("zarr",), writes="out"),
        SuiteCase("slab", "mean of the middle half of each plane of 3-D", part=0.5, cube=True),
        SuiteCase("update", "x *= 1.01 in place", ("work",), writes="work"),
    )
}


@dataclass(frozen=True)
class SuiteRival:
    """One way to do the work, in a module of ``benchmarks.rivals.suite``."""

    name: str
    module: str
    needs: str
    """What must be installed."""
    cases: tuple[str, ...]
    """What it can do; the others are "n/a"."""
    candidates: tuple[int, ...] = (4 * MIB, 16 * MIB, 64 * MIB, 128 * MIB)
    """Bytes of blocks or chunks that are tried; none where there is nothing to choose."""
    chunked: tuple[str, ...] | None = None
    """Cases in which there is something to choose; None: all of them."""
    zarr: bool = False
    """Whether it reads the Zarr copy of the first input in each case."""
    parallel: bool = True
    """Whether it is told how many workers it has."""

    def reads_zarr(self, case: SuiteCase) -> bool:
        return "zarr" in case.inputs or (self.zarr and "a" in case.inputs and not case.cube)

    def choices(self, case: SuiteCase) -> tuple[int, ...]:
        """Candidates in a case: stored chunks that are one task each leave no choice."""
        if self.chunked is not None and case.name not in self.chunked:
            return ()
        if case.cube and self.candidates:
            return _PLANES
        return self.candidates if self.zarr or "zarr" not in case.inputs else ()


_ALL = tuple(CASES)
_NPY = tuple(name for name in _ALL if name != "zarr")
_LAZY = tuple(name for name in _ALL if name != "update")
_STORES = tuple(name for name in _LAZY if name != "slab")
_WHOLE = (16 * MIB, 64 * MIB, 128 * MIB)
"""Of arrays whose stored chunks have 16 MiB."""
_CACHED = (MIB // 2, 2 * MIB, 8 * MIB, 64 * MIB)
"""Of one thread without a library between: small blocks stay in the cache of the processor."""
_PLANES = (64 * MIB, 128 * MIB)
"""Of arrays of three axes, in whole planes of 64 MiB."""
RIVALS = {
    rival.name: rival
    for rival in (
        SuiteRival("oocarray", "oocarray_", "oocarray", _ALL, ()),
        SuiteRival("numpy-naive", "numpy_naive", "numpy", _NPY, (), parallel=False),
        SuiteRival("numpy", "numpy_blocks", "numpy", _NPY, _CACHED, parallel=False),
        SuiteRival("zarr", "zarr_bands", "zarr", _STORES, _WHOLE, zarr=True),
        SuiteRival("dask", "dask_threads", "dask", _ALL),
        SuiteRival("backend-dask", "oocarray_dask", "dask", _LAZY, ()),
        SuiteRival("distributed", "dask_distributed", "distributed", _ALL),
        SuiteRival("tensorstore", "tensorstore_bands", "tensorstore", _STORES, _WHOLE, zarr=True),
        SuiteRival(
            "numexpr",
            "numexpr_blocks",
            "numexpr",
            ("map", "two", "transcendental", "zscore", "update"),
        ),
        SuiteRival(
            "blosc2",
            "blosc2_lazy",
            "blosc2",
            ("mean", "columns", "transcendental"),
            chunked=("columns",),
        ),
        SuiteRival("cubed", "cubed_zarr", "cubed", _STORES, (), zarr=True),
    )
}
