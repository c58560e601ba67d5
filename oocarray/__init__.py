"""NumPy arrays as large as your disk, worked on where they lie; what is not public is not here."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__array_api_version__ = "2025.12"

# Where each public name lives.  They are imported when first asked for: a script that imports
# the package pays for what it uses, and the server of worker processes for next to nothing.
_HOMES = {
    "comparison": "compare",
    "comparisontable": "Comparison",
    "config": "options",
    "core": "Array",
    "errors": (
        "ArrayLockedError BlockFailedError BlockMismatchError BudgetError ClosedError "
        "CorruptChunkError DtypeError FailedBlocksWarning FormatError GridWarning "
        "InputChangedError KernelError NotRegularFileError OocarrayError "
        "OverlapError PlanError TornBlockError TruncatedFileError WorkerDiedError"
    ),
    "extremes": "argmax argmin max min nanargmax nanargmin nanmax nanmin",
    "functions": "all any count_nonzero mean prod std sum var",
    "futures": "Future",
    "histograms": "histogram",
    "jit": "kernel",
    "mapping": "map_blocks",
    "namespace.arithmetic": (
        "abs absolute acos acosh add arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin "
        "asinh atan atan2 atanh cbrt ceil conj conjugate copysign cos cosh deg2rad degrees "
        "divide divmod exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod frexp "
        "gcd heaviside hypot lcm ldexp log log10 log1p log2 logaddexp logaddexp2 maximum minimum "
        "mod modf multiply negative nextafter positive pow power rad2deg radians reciprocal "
        "remainder rint sign signbit sin sinh spacing sqrt square subtract tan tanh true_divide "
        "trunc"
    ),
    "namespace.comparing": "allclose array_equal array_equiv",
    "namespace.complexes": "angle i0 imag iscomplex isneginf isposinf isreal real sinc",
    "namespace.converting": "array asanyarray asarray ascontiguousarray from_dlpack",
    "namespace.creation": (
        "empty empty_like eye fromfunction full full_like identity indices ones ones_like tri "
        "zeros zeros_like"
    ),
    "namespace.crossing": "cross",
    "namespace.cumulative": ("cumprod cumsum cumulative_prod cumulative_sum nancumprod nancumsum"),
    "namespace.dtypes": (
        "bool broadcast_shapes can_cast complex128 complex64 e finfo float16 float32 float64 "
        "iinfo inf int16 int32 int64 int8 isdtype nan newaxis pi promote_types result_type "
        "uint16 uint32 uint64 uint8"
    ),
    "namespace.einsums": "einsum",
    "namespace.elementwise": "astype choose isclose select where",
    "namespace.greatest": "argtopk topk",
    "namespace.joining": (
        "append block column_stack concat concatenate dstack hstack stack vstack"
    ),
    "namespace.linear": "dot inner matmul matvec outer tensordot vdot vecdot vecmat",
    "namespace.lines": "apply_along_axis apply_over_axes gradient interp",
    "namespace.logic": (
        "bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not bitwise_or "
        "bitwise_right_shift bitwise_xor equal greater greater_equal invert isfinite isinf isnan "
        "isnat left_shift less less_equal logical_and logical_not logical_or logical_xor "
        "not_equal right_shift"
    ),
    "namespace.manipulation": (
        "expand_dims matrix_transpose moveaxis permute_dims ravel rechunk reshape rollaxis "
        "squeeze swapaxes transpose"
    ),
    "namespace.norms": "matrix_norm norm vector_norm",
    "namespace.padding": "pad sliding_window_view",
    "namespace.parts": (
        "compress diag diagonal diff ediff1d extract take take_along_axis trace tril triu"
    ),
    "namespace.quantiles": "median nanmedian nanpercentile nanquantile percentile quantile",
    "namespace.ranges": "arange geomspace linspace logspace",
    "namespace.rearranging": "flip fliplr flipud repeat roll rot90 tile",
    "namespace.rounding": "around clip fix nan_to_num round",
    "namespace.searching": "argwhere bincount digitize flatnonzero nonzero searchsorted",
    "namespace.setops": "in1d intersect1d setdiff1d setxor1d union1d",
    "namespace.sets": (
        "UniqueAllResult UniqueCountsResult UniqueInverseResult isin unique unique_all "
        "unique_counts unique_inverse unique_values"
    ),
    "namespace.sorting": "argpartition argsort partition sort",
    "namespace.splitting": "array_split delete dsplit hsplit insert split unstack vsplit",
    "namespace.spreading": (
        "atleast_1d atleast_2d atleast_3d broadcast_arrays broadcast_to meshgrid"
    ),
    "namespace.statistics": "average corrcoef cov ptp",
    "nanfunctions": "nanmean nanprod nanstd nansum nanvar",
    "creating": "create",
    "opening": "Group from_array open open_group",
    "persisting": "persist",
    "reducing": "reduction",
    "scalars": "elementwise",
    "storing": "Store compute store",
    "updating": "update_blocks",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
_NAMESPACES = ("linalg",)

__all__ = sorted([*_HOME, *_NAMESPACES])


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return import_module(f"oocarray.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'oocarray' has no attribute {name!r}")
    value = getattr(import_module(f"oocarray.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __array_namespace_info__() -> Any:
    """What the Array API standard asks a namespace to tell of itself.

    Examples
    --------
    >>> __array_namespace_info__().default_device()
    'cpu'
    """
    from .namespace.standard import Info

    return Info()
