"""Says how each function of elements is spelled in generated source, or that it cannot be.

The results are NumPy's to the bit, or within some units in the last place where `Word.exact` is
false; whatever may differ otherwise has no word, and NumPy calculates it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .floats import filled, float_power, float_template, rounded, transcendental
from .integers import integer_template, power_template
from .word_casts import cast_template
from .word_loops import CLIP, Loop, loop_of, name_of, supported

__all__ = ["Word", "cast", "loop_of", "word"]

_CLIPPED = {
    # NumPy's clip takes the limit where they are equal, and keeps NaN of all three; of limits that
    # are numbers it keeps the element, which tells in the sign of zero.
    "fixed": ("{1} if {0} < {1} else {0}", "{1} if {0} > {1} else {0}"),
    "f": (
        "{0} if ({0} > {1}) | ({0} != {0}) else {1}",
        "{0} if ({0} < {1}) | ({0} != {0}) else {1}",
    ),
    "i": ("{0} if {0} > {1} else {1}", "{0} if {0} < {1} else {1}"),
}
# The processor calls it invalid to ask which of two is larger when one is NaN; NumPy says nothing.
_ASKING = {np.less, np.less_equal, np.greater, np.greater_equal, np.sign, np.heaviside}
_ASKING |= {np.maximum, np.minimum, np.fmax, np.fmin, np.floor_divide, np.remainder}
_DIVIDING = {np.floor_divide, np.remainder, np.fmod}  # integers, as floats or not at all


@dataclass(frozen=True)
class Word:
    """An operation as source: an expression of its operands' names."""

    template: str
    """With a field for every operand, which may occur several times or not at all."""
    needs: tuple[tuple[str, Any], ...] = ()
    """Names that the source uses, with the kernels and modules they mean; always the same ones."""
    exact: bool = True
    """Whether the result has NumPy's bits; else it is within some units in the last place."""
    rare: str | None = None
    """Tests an operand for values that `template` is wrong for; false for NaN."""
    any: str | None = None
    """What to use for all elements, when there is one of those."""
    flags: bool = True
    """Whether the processor's flags of division by zero, overflow and invalid operations are then
    those that NumPy warns of; else there may be others (invalid, of NaN) or fewer."""


def word(
    function: Callable[..., Any], loop: Loop, kwargs: Mapping[str, Any], math: str
) -> Word | None:
    """Spell a function of elements for the dtypes in which NumPy calculates it.

    Operands must have the dtypes of the loop; what the expression gives is to be converted to
    the last of them, as ``np.float32(...)`` does in numba.

    Parameters
    ----------
    function : callable
        As for `loop_of`.
    loop : tuple of dtype
        What `loop_of` found.
    kwargs : mapping
        As they are passed to `function`; with the key ``"literal exponent"``, if that is a Python
        number, and ``"literal limits"``, if all operands but the first are numbers other than NaN.
    math : {"vector", "libm"}
        Whether to use this package's own vectorized kernels of transcendental functions.

    Returns
    -------
    Word or None
        None: it cannot be spelled.

    Examples
    --------
    >>> loop = loop_of(np.power, (np.dtype("f4"), 2), {})
    >>> word(np.power, loop, {"literal exponent": 2}, "libm").template
    '{0} * {0}'
    >>> word(np.power, (np.dtype("i4"),) * 3, {}, "libm") is None
    True
    """
    if len(loop) < 2 or not all(map(supported, loop)):
        return None
    if isinstance(function, np.ufunc):
        return _ufunc_word(function, loop, kwargs, math)
    clips = name_of(function) == "oocarray.namespace.rounding._Clip" and loop[0].kind == "f"
    return _made(_function_spelled(function, loop, kwargs), flags=not clips)


def cast(source: np.dtype[Any], target: np.dtype[Any]) -> Word | None:
    """Spell the conversion of an operand, as NumPy's unsafe casting; None: it cannot be spelled.

    Examples
    --------
    >>> cast(np.dtype("f4"), np.dtype("?")).template
    '{0} != np.float32(0)'
    """
    if not (supported(source) and supported(target)):
        return None
    return _made(cast_template(source, target))


def _made(spelled: Any, exact: bool = True, flags: bool = True) -> Word | None:
    if spelled is None:
        return None
    template, needs = spelled
    named = tuple(sorted(needs.items(), key=lambda pair: pair[0]))
    return Word(template, named, exact, flags=flags)


def _ufunc_word(ufunc: np.ufunc, loop: Loop, kwargs: Mapping[str, Any], math: str) -> Word | None:
    if ufunc is CLIP:
        fixed = "literal limits" in kwargs
        return _made(_clip_spelled(loop, fixed), flags=loop[0].kind != "f")
    if ufunc.nin != len(loop) - 1 or ufunc.nout != 1:
        return None
    exponent = kwargs.get("literal exponent")
    if loop[0].kind != "f":
        if ufunc is np.power:
            same = len(set(loop)) == 1 and loop[0].kind != "b"
            return _made(power_template(exponent, loop[0])) if same else None
        return _made(integer_template(ufunc, loop), flags=ufunc not in _DIVIDING)
    if any(one != loop[0] for one in loop[:-1]) or loop[-1] not in (loop[0], np.dtype(bool)):
        return None
    if ufunc in (np.power, np.float_power) and exponent is not None:
        known = float_power(exponent, loop[0])
        if known is not None:
            return _made(known[0], known[1])
    found = float_template(ufunc, loop[0])
    if found is not None:
        return _made(found, flags=ufunc not in _ASKING)
    own = _vector_word(ufunc, loop[0]) if math == "vector" else None
    return own or _made(transcendental(ufunc, loop[0]), exact=False)


def _vector_word(ufunc: np.ufunc, dtype: np.dtype[Any]) -> Word | None:
    """The kernel of this package's own for a transcendental function, if there is one."""
    if transcendental(ufunc, dtype) is None:
        return None
    try:
        from oocarray import vectormath
    except ImportError:
        return None
    name = "power" if ufunc is np.float_power else ufunc.__name__
    width = 0 if dtype.itemsize == 8 else 1
    if name not in vectormath.VECTOR:
        return None
    arguments = ", ".join(f"{{{k}}}" for k in range(ufunc.nin))
    usual = vectormath.VECTOR[name][width]
    template = f"{usual.__name__}({arguments})"
    needs: list[tuple[str, Any]] = [(usual.__name__, usual)]
    if name not in vectormath.ANY:
        return Word(template, tuple(needs), exact=False)
    every = vectormath.ANY[name][width]
    needs += [(every.__name__, every), ("np", np)]
    rare = f"abs({{0}}) > np.{dtype.name}({vectormath.LARGE!r})"
    return Word(template, tuple(needs), False, rare, f"{every.__name__}({arguments})")


def _clip_spelled(loop: Loop, fixed: bool) -> Any:
    if len(loop) != 4 or len(set(loop)) != 1 or loop[0].kind == "b":
        return None
    kind = "f" if loop[0].kind == "f" else "i"
    low, high = _CLIPPED["fixed" if fixed and kind == "f" else kind]
    inner = f"({low})"
    return high.replace("{1}", "{2}").replace("{0}", inner), {}


def _function_spelled(function: Any, loop: Loop, kwargs: Mapping[str, Any]) -> Any:
    name, dtype = name_of(function), loop[0]
    package, _, rest = name.partition(".")
    if package == "numpy":
        return _numpy_spelled(rest, loop, kwargs)
    if name.endswith("._copied") and package == "oocarray":
        return "{0}", {}
    if name in ("oocarray.lazy.arith._astype", "oocarray.namespace.searching._true"):
        return cast_template(dtype, loop[-1])
    if name == "oocarray.namespace.norms._square":
        return ("{0} & {0}" if dtype.kind == "b" else "{0} * {0}"), {}
    if name == "oocarray.namespace.comparing._same":
        if loop[0] != loop[1]:
            return None
        return "({0} == {1}) | (({0} != {0}) & ({1} != {1}))", {}
    if name == "oocarray.namespace.rounding._Clip":
        if function.low and function.high:
            return _clip_spelled(loop, "literal limits" in kwargs)
        ufunc = np.maximum if function.low else np.minimum
        found = _ufunc_word(ufunc, loop, {}, "libm")
        return None if found is None else (found.template, dict(found.needs))
    if name == "oocarray.namespace.elementwise._Select":
        return _selected(function.count, len(loop) - 1, loop[-1])
    if name == "oocarray.masking._choose":
        return _selected(1, 3, loop[-1])
    if name == "oocarray.namespace.rounding._NanToNum":
        return _replaced(function.names, dtype)
    return None


def _numpy_spelled(name: str, loop: Loop, kwargs: Mapping[str, Any]) -> Any:
    dtype = loop[0]
    if name == "where":
        return _selected(1, 3, loop[-1])
    if name == "real":
        return "{0}", {}
    if name == "round":
        decimals = kwargs.get("decimals", 0)
        if dtype.kind == "f":
            return rounded(decimals, dtype)
        return ("{0}", {}) if dtype.kind in "iu" and decimals >= 0 else None
    if name == "fix":
        return filled("np.trunc({0})", dtype) if dtype.kind == "f" else ("{0}", {})
    if name in ("isposinf", "isneginf") and dtype.kind == "f":
        return filled(f"{{0}} == {'' if name == 'isposinf' else '-'}INF", dtype)
    return None


def _selected(conditions: int, count: int, dtype: np.dtype[Any]) -> Any:
    """The first choice whose condition holds; the last is for when none does."""
    text = f"{{{count - 1}}}"
    for k in reversed(range(conditions)):
        if dtype.kind == "f":
            text = f"chosen({{{k}}}, {{{conditions + k}}}, {text})"
        else:
            text = f"({{{conditions + k}}} if {{{k}}} else {text})"
    if dtype.kind != "f":
        return text, {}
    from ..machine import chosen

    return text, {"chosen": chosen}


def _replaced(names: tuple[str, ...], dtype: np.dtype[Any]) -> Any:
    """What nan_to_num puts in place of NaN and infinities."""
    field = {name: f"{{{at}}}" for at, name in enumerate(names, 1)}
    largest = f"TYPE({float(np.finfo(dtype).max)!r})"
    nan = field.get("nan", "ZERO")
    above, below = field.get("posinf", largest), field.get("neginf", f"-{largest}")
    template = (
        f"{nan} if {{0}} != {{0}} else "
        f"({above} if {{0}} == INF else ({below} if {{0}} == -INF else {{0}}))"
    )
    return filled(template, dtype)
