"""Prints the page of functions; refuses names of which nothing is said here, or what is not so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import array_api_strict as strict
import dask
import dask.array
import numpy as np

import oocarray as oo

INTRO = """# Functions

What stands here, row by row, for the functions of NumPy {numpy}, `dask.array` {dask} and the
Array API {standard}. A script for `dask.array` runs after its import is changed to
`import oocarray as da`, where the rows of the functions that it uses say *works*. So does one that
calls these functions of NumPy on arrays of ours.

| here | which means |
|---|---|
| works | block by block, whatever the size; most are lazy |
| works when ... the budget | what is named is in memory; a `BudgetError` says both numbers if not |
| anything else | it is not there; why, or what to write instead |

What is not there is refused with a `TypeError` where NumPy asks us, and loads nothing; some of its
functions do not ask but convert, as `np.asarray` does.

*Whole lines* are all elements along the axes that a function goes along. The three columns in the
middle say what it is called elsewhere; a blank, that it is not there. NumPy's `random`, `ma`,
`char` and `polynomial` have no counterpart: `map_blocks` calls what is in them on blocks.

This page is what `python docs/functions_page.py > docs/functions.md` makes.
"""

# What works, by theme, in the order of the page.
WORKS = {
    "Creation": """
        arange array asanyarray asarray ascontiguousarray copy create diag diagflat empty
        empty_like eye from_array from_dlpack fromfunction full full_like geomspace identity
        indices linspace logspace meshgrid ones ones_like open open_group tri tril triu zeros
        zeros_like
    """,
    "Elementwise": """
        abs absolute acos acosh add angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh
        around asin asinh astype atan atan2 atanh bitwise_and bitwise_count bitwise_invert
        bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor cbrt ceil choose
        clip conj conjugate copysign cos cosh deg2rad degrees divide divmod elementwise equal exp
        exp2 expm1 fabs fix float_power floor floor_divide fmax fmin fmod frexp gcd greater
        greater_equal heaviside hypot i0 imag interp invert isclose iscomplex isfinite isin isinf
        isnan isnat isneginf isnull isposinf isreal lcm ldexp left_shift less less_equal log log10
        log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor maximum
        minimum mod modf multiply nan_to_num negative nextafter not_equal notnull piecewise
        positive pow power rad2deg radians real reciprocal remainder right_shift rint round select
        sign signbit sin sinc sinh spacing sqrt square subtract tan tanh true_divide trunc where
    """,
    "Reductions": """
        all allclose amax amin any argmax argmin array_equal array_equiv count_nonzero max mean
        min nanargmax nanargmin nanmax nanmean nanmin nanprod nanstd nansum nanvar prod ptp
        reduction std sum var
    """,
    "Statistics and what goes along an axis": """
        apply_along_axis apply_over_axes average bincount corrcoef cov cumprod cumsum
        cumulative_prod cumulative_sum diff digitize ediff1d gradient histogram median nancumprod
        nancumsum nanmedian nanpercentile nanquantile percentile quantile sliding_window_view
        trapezoid
    """,
    "Shapes": """
        atleast_1d atleast_2d atleast_3d broadcast_arrays broadcast_shapes broadcast_to
        expand_dims flat_strides flip flipped fliplr flipud matrix_transpose moveaxis ndim
        permute_dims ravel reshape reshaped roll rollaxis rot90 same shape size spread squeeze
        swapaxes transpose transposed
    """,
    "Joining and splitting": """
        append array_split block column_stack concat concatenate delete dsplit dstack hsplit
        hstack insert pad repeat row_stack split stack tile unstack vsplit vstack
    """,
    "Indexing and selection": """
        argwhere compress diagonal extract flatnonzero nonzero pieces take take_along_axis
    """,
    "Sorting, searching and sets": """
        argpartition argsort argtopk in1d intersect1d partition searchsorted setdiff1d setxor1d
        sort topk union1d unique unique_all unique_counts unique_inverse unique_values
        UniqueAllResult UniqueCountsResult UniqueInverseResult
    """,
    "Linear algebra": """
        cross dot einsum inner matmul matrix_norm matvec norm outer tensordot trace vdot vecdot
        vecmat vector_norm linalg.cross linalg.diagonal linalg.matmul linalg.matrix_norm
        linalg.matrix_transpose linalg.norm linalg.outer linalg.tensordot linalg.trace
        linalg.vecdot linalg.vector_norm
    """,
    "Dtypes and constants": """
        bool can_cast complex128 complex64 e finfo float16 float32 float64 iinfo inf int16 int32
        int64 int8 iscomplexobj isdtype isrealobj issubdtype nan newaxis pi promote_types
        result_type uint16 uint32 uint64 uint8 __array_api_version__ __array_namespace_info__
    """,
    "Blocks and evaluation": """
        Array Comparison Future Group Store compare compute kernel map_blocks options persist
        rechunk store update_blocks
    """,
}

# What must fit the memory budget.
FITS = {
    "it fits": "array",
    "what is asked for fits": "compute persist",
    "whole lines fit": """
        apply_along_axis argpartition argtopk cumprod cumsum cumulative_prod cumulative_sum
        median nancumprod nancumsum nanmedian nanpercentile nanquantile partition percentile
        quantile take_along_axis topk
    """,
    "whole lines fit (a single long one is sorted on disk)": "sort",
    "whole lines, and the positions of all, fit": "argsort",
    "its second argument fits": "digitize in1d isin",
    "the points fit": "interp",
    "the sorted argument fits": "searchsorted",
    "the counts (at once, in memory) fit": "bincount",
    "what is distinct (found at once; positions: all of the array) fits": "unique intersect1d",
    "what is distinct (found at once) fits": """
        setdiff1d setxor1d union1d unique_counts unique_values
    """,
    "all of the array (it computes at once) fits": "unique_all unique_inverse",
    "a panel of each argument and a part of the sums fit": """
        dot inner matmul matvec vecmat tensordot einsum linalg.matmul linalg.tensordot
    """,
}

# Why the others are not there.
REASONS = {
    "`x.shape`, `x.ndim` and `x.size` say it; NumPy's function too": "ndim shape size",
    "`x.dtype.kind` says it; NumPy's function too": "iscomplexobj isrealobj",
    "`repr(x)`: shows shape and dtype, not elements; NumPy's function too": (
        "array2string array_repr array_str"
    ),
    "`max`": "amax",
    "`min`": "amin",
    "`vstack`": "row_stack",
    "`isnan`": "isnull",
    "`~isnan(x)`": "notnull",
    "`x.copy()`": "copy",
    "`elementwise`": "frompyfunc",
    "`select` or `where`": "piecewise",
    "`mean` of a power": "moment",
    "`diag` of what `ravel` makes": "diagflat",
    "`np.require` loads; blocks are laid out as functions need them": "asfortranarray require",
    "loads the array, as `np.asarray` does; see `isfinite`": "asarray_chkfinite",
    "matrices are arrays of two axes; `matmul`, `block`": "asmatrix bmat",
    "names files, not arrays: `open`, `create`, `store`": """
        from_npy_stack from_tiledb from_zarr fromfile load memmap save savez savez_compressed
        to_hdf5 to_npy_stack to_tiledb to_zarr
    """,
    "makes an array of other tasks or bytes: `from_array` of what they give": (
        "from_delayed frombuffer fromiter"
    ),
    "reads or writes text": """
        base_repr binary_repr datetime_as_string format_float_positional format_float_scientific
        fromregex fromstring genfromtxt loadtxt savetxt
    """,
    "changes elements one by one: `x[...] = values`, or `where`": (
        "copyto fill_diagonal place put put_along_axis putmask"
    ),
    "addresses, not data: `x.layout`": "isfortran may_share_memory shares_memory",
    "arrays of positions: `x[...]` and `x.oindex` take NumPy's; see `nonzero`, `where`": """
        diag_indices diag_indices_from ix_ mask_indices ravel_multi_index tril_indices
        tril_indices_from triu_indices triu_indices_from unravel_index
    """,
    "needs a neighbour exchange that is not there yet; `sliding_window_view` for small windows": (
        "convolve correlate map_overlap"
    ),
    "goes along whole lines: `apply_along_axis` calls NumPy's": "push unwrap",
    "`diff` and `sum`": "trapezoid",
    "the extent of the result follows from elements at the ends: `nonzero`, then slice": (
        "trim_zeros"
    ),
    "the dtype of the result follows from elements": "min_scalar_type real_if_close",
    "bits of bytes: call it with `map_blocks`": "packbits unpackbits",
    "`reshape`, `tile` or `pad`": "resize",
    "sorts by several keys: `argsort` of one": "lexsort",
    "sorts complex numbers: `sort` does": "sort_complex",
    "counts in several dimensions: `reduction`": "histogram2d histogramdd",
    "edges that follow from the elements: give `histogram` a range": "histogram_bin_edges",
    "reads no elements; `einsum` multiplies from left to right": "einsum_path",
    "`reshape` and `outer`": "kron",
    "windows are short: NumPy's, which our arrays take": "bartlett blackman hamming hanning kaiser",
    "polynomials: call it with `map_blocks`": """
        poly polyadd polyder polydiv polyfit polyint polymul polysub polyval roots vander
    """,
    "calendars: call it with `map_blocks`": ("busday_count busday_offset datetime_data is_busday"),
    "tells of dtypes or of Python objects: `result_type`, `isdtype`": (
        "common_type isscalar issubdtype iterable mintypecode typename"
    ),
    "goes through elements in Python: `x.iter_blocks()`": "nested_iters",
    "sets or shows how NumPy itself works": """
        get_include get_printoptions getbufsize geterr geterrcall info printoptions
        set_printoptions setbufsize seterr seterrcall show_config show_runtime test
    """,
    "`map_blocks`; expressions are cut into blocks as they need": """
        apply_gufunc as_gufunc atop blockwise reshape_blockwise unify_chunks
    """,
    "`reshape` into neighbourhoods, then reduce": "coarsen",
    "`take`, or `x[positions]`": "shuffle",
    "dask's graphs and settings: there are none": (
        "array_expr_enabled assert_eq optimize register_chunk_type"
    ),
    "solves equations or finds singular values, which needs all of a matrix: `x.compute()`": """
        linalg.cholesky linalg.cond linalg.det linalg.eig linalg.eigh linalg.eigvals
        linalg.eigvalsh linalg.inv linalg.lstsq linalg.lu linalg.matrix_rank linalg.pinv linalg.qr
        linalg.sfqr linalg.slogdet linalg.solve linalg.solve_triangular linalg.svd
        linalg.svd_compressed linalg.svdvals linalg.tensorinv linalg.tensorsolve linalg.tsqr
    """,
    "repeated `matmul`": "linalg.matrix_power linalg.multi_dot",
    "dask's own measure of a random projection": (
        "linalg.compression_level linalg.compression_matrix"
    ),
    "not there yet; `apply_along_axis` calls NumPy's on whole lines": """
        fft.fft fft.fft2 fft.fftn fft.hfft fft.ifft fft.ifft2 fft.ifftn fft.ihfft fft.irfft
        fft.irfft2 fft.irfftn fft.rfft fft.rfft2 fft.rfftn
    """,
    "`asarray` of NumPy's": "fft.fftfreq fft.rfftfreq",
    "`roll`": "fft.fftshift fft.ifftshift",
}

# The same under another name.
ALIASES = {
    "create": {"NumPy": "lib.format.open_memmap"},
    "elementwise": {"NumPy": "vectorize"},
    "matrix_norm": {"NumPy": "linalg.matrix_norm"},
    "norm": {"NumPy": "linalg.norm", "dask": "linalg.norm"},
    "open": {"NumPy": "load"},
    "sliding_window_view": {
        "NumPy": "lib.stride_tricks.sliding_window_view",
        "dask": "lib.stride_tricks.sliding_window_view",
    },
    "vector_norm": {"NumPy": "linalg.vector_norm"},
}

# Of the standard's reference library, but not of the standard.
NOT_STANDARD = {
    *("ArrayAPIStrictFlags", "Device", "__version__", "get_array_api_strict_flags"),
    *("reset_array_api_strict_flags", "set_array_api_strict_flags"),
}


class Row(NamedTuple):
    """One function: its names elsewhere, and what is said of it here."""

    name: str
    numpy: str
    dask: str
    standard: str
    here: str


def functions(module: ModuleType, names: Any, prefix: str = "") -> set[str]:
    """Those of the names that are functions or ufuncs, or other things to call than types."""
    found = ((name, getattr(module, name)) for name in names)
    return {prefix + name for name, x in found if callable(x) and not isinstance(x, type)}


def numpys() -> set[str]:
    """Functions of NumPy, of its linear algebra and of its Fourier transforms."""
    return (
        functions(np, np.__all__)
        | functions(np.linalg, np.linalg.__all__, "linalg.")
        | functions(np.fft, np.fft.__all__, "fft.")
    )


def dasks() -> set[str]:
    """Functions of dask.array, of its linear algebra and of its Fourier transforms."""
    found = functions(dask.array, (name for name in dir(dask.array) if name[0] != "_"))
    linear = functions(dask.array.linalg, (n for n in dir(dask.array.linalg) if n[0] != "_"))
    home = dask.array.linalg
    found |= {f"linalg.{n}" for n in linear if getattr(home, n).__module__ == home.__name__}
    ours = {f"fft.{name}" for name in np.fft.__all__ if hasattr(dask.array.fft, name)}
    return found | ours | {"linalg.norm"}


def standards() -> set[str]:
    """Names of the Array API and of its two extensions."""
    found = set(strict.__all__) - NOT_STANDARD - {"linalg", "fft"}
    found |= {f"linalg.{name}" for name in strict.linalg.__all__}
    return found | {f"fft.{name}" for name in strict.fft.__all__}


def ours() -> set[str]:
    """What can be called here but is no exception, and the standard's dtypes and constants."""
    found = {f"linalg.{name}" for name in oo.linalg.__all__}
    for name in {*oo.__all__} - {"linalg"}:
        value = getattr(oo, name)
        if not (isinstance(value, type) and issubclass(value, BaseException)):
            found.add(name)
    return found | {name for name in standards() if name[0] == "_" and hasattr(oo, name)}


def spread(table: dict[str, str]) -> dict[str, str]:
    """The words of a table, by name."""
    found: dict[str, str] = {}
    for words, names in table.items():
        for name in names.split():
            if name in found:
                sys.exit(f"{name} stands twice: {found[name]!r}, {words!r}")
            found[name] = words
    return found


def has(home: ModuleType, name: str) -> bool:
    """Whether a library has a name, with dots."""
    value: Any = home
    for part in name.split("."):
        value = getattr(value, part, None)
        if value is None and part != "newaxis":
            return False
    return True


def rows() -> dict[str, list[Row]]:
    """The page's tables: by theme, and in the end by reason."""
    themes, fits, reasons = spread(WORKS), spread(FITS), spread(REASONS)
    mine, standard = ours(), standards()
    known = numpys() | dasks() | standard | mine
    missing = sorted(mine - set(themes)), sorted(known - mine - set(reasons))
    if any(missing):
        sys.exit(f"nothing is said of {missing[0]} that work, and of {missing[1]} that do not")
    found: dict[str, list[Row]] = {theme: [] for theme in (*WORKS, "Not there")}
    for name in sorted(known, key=lambda name: ("." in name, name.lower(), name)):
        also = ALIASES.get(name, {})
        names = (
            also.get("NumPy", name if has(np, name) else ""),
            also.get("dask", name if has(dask.array, name) else ""),
            name if name in standard else "",
        )
        if name in mine:
            budget = f" when {fits[name]} the budget" if name in fits else ""
            found[themes[name]].append(Row(name, *names, f"works{budget}"))
        else:
            found["Not there"].append(Row(name, *names, reasons[name]))
    order = list(REASONS)
    found["Not there"].sort(key=lambda row: order.index(row.here))
    return found


def page() -> Iterator[str]:
    """The page, line by line."""
    standard = oo.__array_api_version__
    yield INTRO.format(numpy=np.__version__, dask=dask.__version__, standard=standard)
    for theme, table in rows().items():
        if table:
            yield f"## {theme}\n\n| function | NumPy | dask | Array API | here |"
            yield "|---|---|---|---|---|"
            for row in table:
                names = "".join(f"`{name}` | " if name else "| " for name in row[:4])
                yield f"| {names}{row.here} |"
            yield ""


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()).rstrip("\n") + "\n")
