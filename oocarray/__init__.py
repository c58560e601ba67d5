"""NumPy arrays as large as your disk, worked on where they lie; what is not public is not here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import linalg
    from .config import (
        options,
    )
    from .core import (
        Array,
    )
    from .errors import (
        ArrayLockedError,
        BlockFailedError,
        BlockMismatchError,
        BudgetError,
        ClosedError,
        DtypeError,
        FailedBlocksWarning,
        FormatError,
        GridWarning,
        InputChangedError,
        KernelError,
        NotRegularFileError,
        OocarrayError,
        OverlapError,
        PlanError,
        TornBlockError,
        TruncatedFileError,
        WorkerDiedError,
    )
    from .extremes import (
        argmax,
        argmin,
        max,
        min,
        nanargmax,
        nanargmin,
        nanmax,
        nanmin,
    )
    from .functions import (
        all,
        any,
        count_nonzero,
        mean,
        prod,
        std,
        sum,
        var,
    )
    from .futures import (
        Future,
    )
    from .histograms import (
        histogram,
    )
    from .jit import (
        kernel,
    )
    from .mapping import (
        map_blocks,
    )
    from .namespace.arithmetic import (
        abs,
        absolute,
        acos,
        acosh,
        add,
        arccos,
        arccosh,
        arcsin,
        arcsinh,
        arctan,
        arctan2,
        arctanh,
        asin,
        asinh,
        atan,
        atan2,
        atanh,
        cbrt,
        ceil,
        conj,
        conjugate,
        copysign,
        cos,
        cosh,
        deg2rad,
        degrees,
        divide,
        divmod,
        exp,
        exp2,
        expm1,
        fabs,
        float_power,
        floor,
        floor_divide,
        fmax,
        fmin,
        fmod,
        frexp,
        gcd,
        heaviside,
        hypot,
        lcm,
        ldexp,
        log,
        log1p,
        log2,
        log10,
        logaddexp,
        logaddexp2,
        maximum,
        minimum,
        mod,
        modf,
        multiply,
        negative,
        nextafter,
        positive,
        pow,
        power,
        rad2deg,
        radians,
        reciprocal,
        remainder,
        rint,
        sign,
        signbit,
        sin,
        sinh,
        spacing,
        sqrt,
        square,
        subtract,
        tan,
        tanh,
        true_divide,
        trunc,
    )
    from .namespace.comparing import (
        allclose,
        array_equal,
        array_equiv,
    )
    from .namespace.complexes import (
        angle,
        i0,
        imag,
        iscomplex,
        isneginf,
        isposinf,
        isreal,
        real,
        sinc,
    )
    from .namespace.crossing import (
        cross,
    )
    from .namespace.cumulative import (
        cumprod,
        cumsum,
        cumulative_prod,
        cumulative_sum,
        nancumprod,
        nancumsum,
    )
    from .namespace.dtypes import (
        bool,
        broadcast_shapes,
        can_cast,
        complex64,
        complex128,
        e,
        finfo,
        float16,
        float32,
        float64,
        iinfo,
        inf,
        int8,
        int16,
        int32,
        int64,
        isdtype,
        nan,
        newaxis,
        pi,
        promote_types,
        result_type,
        uint8,
        uint16,
        uint32,
        uint64,
    )
    from .namespace.einsums import (
        einsum,
    )
    from .namespace.elementwise import (
        astype,
        choose,
        isclose,
        select,
        where,
    )
    from .namespace.greatest import (
        argtopk,
        topk,
    )
    from .namespace.linear import (
        dot,
        inner,
        matmul,
        matvec,
        outer,
        tensordot,
        vdot,
        vecdot,
        vecmat,
    )
    from .namespace.lines import (
        apply_along_axis,
        apply_over_axes,
        gradient,
        interp,
    )
    from .namespace.logic import (
        bitwise_and,
        bitwise_count,
        bitwise_invert,
        bitwise_left_shift,
        bitwise_not,
        bitwise_or,
        bitwise_right_shift,
        bitwise_xor,
        equal,
        greater,
        greater_equal,
        invert,
        isfinite,
        isinf,
        isnan,
        isnat,
        left_shift,
        less,
        less_equal,
        logical_and,
        logical_not,
        logical_or,
        logical_xor,
        not_equal,
        right_shift,
    )
    from .namespace.norms import (
        matrix_norm,
        norm,
        vector_norm,
    )
    from .namespace.quantiles import (
        median,
        nanmedian,
        nanpercentile,
        nanquantile,
        percentile,
        quantile,
    )
    from .namespace.rounding import (
        around,
        clip,
        fix,
        nan_to_num,
        round,
    )
    from .namespace.searching import (
        argwhere,
        bincount,
        digitize,
        flatnonzero,
        nonzero,
        searchsorted,
    )
    from .namespace.setops import (
        in1d,
        intersect1d,
        setdiff1d,
        setxor1d,
        union1d,
    )
    from .namespace.sets import (
        UniqueAllResult,
        UniqueCountsResult,
        UniqueInverseResult,
        isin,
        pieces,
        unique,
        unique_all,
        unique_counts,
        unique_inverse,
        unique_values,
    )
    from .namespace.sorting import (
        argpartition,
        argsort,
        partition,
        sort,
    )
    from .namespace.statistics import (
        average,
        corrcoef,
        cov,
        ptp,
    )
    from .nanfunctions import (
        nanmean,
        nanprod,
        nanstd,
        nansum,
        nanvar,
    )
    from .opening import (
        create,
        from_array,
        open,
    )
    from .persisting import (
        persist,
    )
    from .reducing import (
        reduction,
    )
    from .scalars import (
        elementwise,
    )
    from .storing import (
        Store,
        compute,
        store,
    )
    from .updating import (
        update_blocks,
    )

__version__ = "0.1.0"
__array_api_version__ = "2025.12"

# Where each public name lives.  They are imported when first asked for: a script that imports
# the package pays for what it uses, and the server of worker processes for next to nothing.
_HOMES = {
    "config": "options",
    "core": "Array",
    "errors": (
        "ArrayLockedError BlockFailedError BlockMismatchError BudgetError ClosedError DtypeError "
        "FailedBlocksWarning FormatError GridWarning InputChangedError KernelError "
        "NotRegularFileError OocarrayError OverlapError PlanError TornBlockError "
        "TruncatedFileError WorkerDiedError"
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
    "namespace.linear": "dot inner matmul matvec outer tensordot vdot vecdot vecmat",
    "namespace.lines": "apply_along_axis apply_over_axes gradient interp",
    "namespace.logic": (
        "bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not bitwise_or "
        "bitwise_right_shift bitwise_xor equal greater greater_equal invert isfinite isinf isnan "
        "isnat left_shift less less_equal logical_and logical_not logical_or logical_xor "
        "not_equal right_shift"
    ),
    "namespace.norms": "matrix_norm norm vector_norm",
    "namespace.quantiles": "median nanmedian nanpercentile nanquantile percentile quantile",
    "namespace.rounding": "around clip fix nan_to_num round",
    "namespace.searching": "argwhere bincount digitize flatnonzero nonzero searchsorted",
    "namespace.setops": "in1d intersect1d setdiff1d setxor1d union1d",
    "namespace.sets": (
        "UniqueAllResult UniqueCountsResult UniqueInverseResult isin pieces unique unique_all "
        "unique_counts unique_inverse unique_values"
    ),
    "namespace.sorting": "argpartition argsort partition sort",
    "namespace.statistics": "average corrcoef cov ptp",
    "nanfunctions": "nanmean nanprod nanstd nansum nanvar",
    "opening": "create from_array open",
    "persisting": "persist",
    "reducing": "reduction",
    "scalars": "elementwise",
    "storing": "Store compute store",
    "updating": "update_blocks",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
_NAMESPACES = ("linalg",)

__all__ = [
    "Array",
    "ArrayLockedError",
    "BlockFailedError",
    "BlockMismatchError",
    "BudgetError",
    "ClosedError",
    "DtypeError",
    "FailedBlocksWarning",
    "FormatError",
    "Future",
    "GridWarning",
    "InputChangedError",
    "KernelError",
    "NotRegularFileError",
    "OocarrayError",
    "OverlapError",
    "PlanError",
    "Store",
    "TornBlockError",
    "TruncatedFileError",
    "UniqueAllResult",
    "UniqueCountsResult",
    "UniqueInverseResult",
    "WorkerDiedError",
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "all",
    "allclose",
    "angle",
    "any",
    "apply_along_axis",
    "apply_over_axes",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "argpartition",
    "argsort",
    "argtopk",
    "argwhere",
    "around",
    "array_equal",
    "array_equiv",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "average",
    "bincount",
    "bitwise_and",
    "bitwise_count",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bool",
    "broadcast_shapes",
    "can_cast",
    "cbrt",
    "ceil",
    "choose",
    "clip",
    "complex64",
    "complex128",
    "compute",
    "conj",
    "conjugate",
    "copysign",
    "corrcoef",
    "cos",
    "cosh",
    "count_nonzero",
    "cov",
    "create",
    "cross",
    "cumprod",
    "cumsum",
    "cumulative_prod",
    "cumulative_sum",
    "deg2rad",
    "degrees",
    "digitize",
    "divide",
    "divmod",
    "dot",
    "e",
    "einsum",
    "elementwise",
    "equal",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "finfo",
    "fix",
    "flatnonzero",
    "float16",
    "float32",
    "float64",
    "float_power",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "frexp",
    "from_array",
    "gcd",
    "gradient",
    "greater",
    "greater_equal",
    "heaviside",
    "histogram",
    "hypot",
    "i0",
    "iinfo",
    "imag",
    "in1d",
    "inf",
    "inner",
    "int8",
    "int16",
    "int32",
    "int64",
    "interp",
    "intersect1d",
    "invert",
    "isclose",
    "iscomplex",
    "isdtype",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "isnat",
    "isneginf",
    "isposinf",
    "isreal",
    "kernel",
    "lcm",
    "ldexp",
    "left_shift",
    "less",
    "less_equal",
    "linalg",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "map_blocks",
    "matmul",
    "matrix_norm",
    "matvec",
    "max",
    "maximum",
    "mean",
    "median",
    "min",
    "minimum",
    "mod",
    "modf",
    "multiply",
    "nan",
    "nan_to_num",
    "nanargmax",
    "nanargmin",
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmean",
    "nanmedian",
    "nanmin",
    "nanpercentile",
    "nanprod",
    "nanquantile",
    "nanstd",
    "nansum",
    "nanvar",
    "negative",
    "newaxis",
    "nextafter",
    "nonzero",
    "norm",
    "not_equal",
    "open",
    "options",
    "outer",
    "partition",
    "percentile",
    "persist",
    "pi",
    "pieces",
    "positive",
    "pow",
    "power",
    "prod",
    "promote_types",
    "ptp",
    "quantile",
    "rad2deg",
    "radians",
    "real",
    "reciprocal",
    "reduction",
    "remainder",
    "result_type",
    "right_shift",
    "rint",
    "round",
    "searchsorted",
    "select",
    "setdiff1d",
    "setxor1d",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "sort",
    "spacing",
    "sqrt",
    "square",
    "std",
    "store",
    "subtract",
    "sum",
    "tan",
    "tanh",
    "tensordot",
    "topk",
    "true_divide",
    "trunc",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "union1d",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "update_blocks",
    "var",
    "vdot",
    "vecdot",
    "vecmat",
    "vector_norm",
    "where",
]


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
