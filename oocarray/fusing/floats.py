"""Spells NumPy's functions of float32 and float64 in numba's Python; knows no other floats.

What is exact has NumPy's bits, but for those of NaN and for the sign of a zero that fmax and fmin
choose out of two, which NumPy itself chooses differently from element to element.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from oocarray.jit import kernel

from .integers import COMPARED

__all__ = ["filled", "float_power", "float_template", "rounded", "transcendental"]

Spelled = tuple[str, dict[str, Any]]


# Kernels of both widths: constants are float32, because beside one of those a float64 stays what
# it is, and a float32 too.


# They choose and do not branch: signs of random elements are what a processor cannot foresee.


@kernel
def float_floor(a: Any, b: Any) -> Any:
    """NumPy's own steps: every rounding counts."""
    mod = np.fmod(a, b)
    div = (a - mod) / b
    wrong = (mod != 0) & ((b < 0) != (mod < 0))
    div = div - np.float32(1) if wrong else div
    found = np.floor(div)
    found = found + np.float32(1) if div - found > np.float32(0.5) else found
    found = math.copysign(np.float32(0), a / b) if div == 0 else found
    return a / b if b == 0 else found


@kernel
def float_mod(a: Any, b: Any) -> Any:
    mod = np.fmod(a, b)
    wrong = (mod != 0) & ((b < 0) != (mod < 0))
    found = mod + b if wrong else mod
    found = math.copysign(mod, b) if mod == 0 else found
    return mod if b == 0 else found


_FLOAT: dict[Any, str] = {
    np.add: "{0} + {1}",
    np.subtract: "{0} - {1}",
    np.multiply: "{0} * {1}",
    np.true_divide: "{0} / {1}",
    np.square: "{0} * {0}",
    np.reciprocal: "ONE / {0}",
    np.negative: "-{0}",
    **dict.fromkeys((np.positive, np.conjugate), "{0}"),
    **dict.fromkeys((np.absolute, np.fabs), "abs({0})"),
    np.sign: "ONE if {0} > ZERO else (-ONE if {0} < ZERO else {0} + ZERO)",
    np.sqrt: "np.sqrt({0})",
    np.fmod: "np.fmod({0}, {1})",
    # Of two that are equal NumPy takes the second, as the processor's instruction does.
    np.maximum: "{0} if ({0} > {1}) | ({0} != {0}) else {1}",
    np.minimum: "{0} if ({0} < {1}) | ({0} != {0}) else {1}",
    np.fmax: "{0} if ({0} > {1}) | ({1} != {1}) else {1}",
    np.fmin: "{0} if ({0} < {1}) | ({1} != {1}) else {1}",
    np.logical_and: "({0} != ZERO) & ({1} != ZERO)",
    np.logical_or: "({0} != ZERO) | ({1} != ZERO)",
    np.logical_xor: "({0} != ZERO) != ({1} != ZERO)",
    np.logical_not: "{0} == ZERO",
    np.floor: "np.floor({0})",
    np.ceil: "np.ceil({0})",
    np.trunc: "np.trunc({0})",
    np.rint: "np.rint({0})",
    np.isnan: "{0} != {0}",
    np.isinf: "abs({0}) == INF",
    np.isfinite: "abs({0}) < INF",
    np.signbit: "math.copysign(ONE, {0}) < ZERO",
    np.copysign: "math.copysign({0}, {1})",
    np.heaviside: "ZERO if {0} < ZERO else (ONE if {0} > ZERO else ({1} if {0} == ZERO else {0}))",
    **dict.fromkeys((np.deg2rad, np.radians), "{0} * (PI / TYPE(180))"),
    **dict.fromkeys((np.rad2deg, np.degrees), "{0} * (TYPE(180) / PI)"),
    **{function: f"{{0}} {sign} {{1}}" for function, sign in COMPARED.items()},
}
_CALLED: dict[Any, Any] = {np.floor_divide: float_floor, np.remainder: float_mod}

_TRANSCENDENTAL: dict[Any, str] = {
    np.exp: "math.exp({0})",
    np.exp2: "np.exp2({0})",
    np.expm1: "math.expm1({0})",
    np.log: "math.log({0})",
    np.log2: "np.log2({0})",
    np.log10: "math.log10({0})",
    np.log1p: "math.log1p({0})",
    np.sin: "math.sin({0})",
    np.cos: "math.cos({0})",
    np.tan: "math.tan({0})",
    np.arcsin: "math.asin({0})",
    np.arccos: "math.acos({0})",
    np.arctan: "math.atan({0})",
    np.arctan2: "math.atan2({0}, {1})",
    np.sinh: "math.sinh({0})",
    np.cosh: "math.cosh({0})",
    np.tanh: "math.tanh({0})",
    np.arcsinh: "math.asinh({0})",
    np.arccosh: "math.acosh({0})",
    np.arctanh: "math.atanh({0})",
    np.hypot: "np.hypot({0}, {1})",
    np.power: "math.pow({0}, {1})",
    np.float_power: "math.pow({0}, {1})",
    np.cbrt: "np.cbrt({0})",
}
_DECIMALS = {"float32": 10, "float64": 22}  # up to these, powers of ten are exact


def float_template(function: Callable[..., Any], dtype: np.dtype[Any]) -> Spelled | None:
    """The template of an exact function of operands of one float dtype, and what it needs."""
    found = _CALLED.get(function)
    if found is not None:
        return f"w_{found.__name__}({{0}}, {{1}})", {f"w_{found.__name__}": found}
    template = _FLOAT.get(function)
    return None if template is None else filled(template, dtype)


def filled(template: str, dtype: np.dtype[Any]) -> Spelled:
    """Put constants of a dtype into a template.

    Examples
    --------
    >>> filled("abs({0}) < INF", np.dtype("f4"))[0]
    'abs({0}) < np.float32(np.inf)'
    """
    values = {"ZERO": "TYPE(0)", "ONE": "TYPE(1)", "INF": "TYPE(np.inf)", "PI": "TYPE(np.pi)"}
    for name, value in values.items():
        template = template.replace(name, value)
    template = template.replace("TYPE", f"np.{dtype.name}")
    modules = {"np": np, "math": math}
    return template, {k: v for k, v in modules.items() if f"{k}." in template}


def transcendental(function: Callable[..., Any], dtype: np.dtype[Any]) -> Spelled | None:
    """The template of a function of libm, calculated in float64."""
    template = _TRANSCENDENTAL.get(function)
    if template is None:
        return None
    if dtype.itemsize == 4:
        template = template.replace("{0}", "np.float64({0})").replace("{1}", "np.float64({1})")
    return filled(template, dtype)


def float_power(exponent: Any, dtype: np.dtype[Any]) -> tuple[Spelled, bool] | None:
    """The template of a power with an exponent that is known, and whether it is exact.

    None: it is a power like any other.
    """
    if exponent == 2:
        return filled("{0} * {0}", dtype), True
    if exponent == 1:
        return filled("{0}", dtype), True
    if exponent == 0:
        return filled("ONE", dtype), True
    if exponent == -1:
        return filled("ONE / {0}", dtype), True
    if exponent == 0.5 and _takes_root():
        return filled("np.sqrt({0})", dtype), True
    if exponent == 3:
        return filled("{0} * {0} * {0}", dtype), False
    if exponent == 4:
        return filled("({0} * {0}) * ({0} * {0})", dtype), False
    return None


@functools.cache
def _takes_root() -> bool:
    """Whether this NumPy takes the square root for the exponent 0.5: of -inf they differ."""
    with np.errstate(all="ignore"):
        return bool(np.isnan(np.power(np.full(4, -np.inf), 0.5)).all())


def rounded(decimals: int, dtype: np.dtype[Any]) -> Spelled | None:
    """The template of rounding to decimals, as NumPy does it: scaled, rounded, scaled back."""
    if decimals == 0:
        return filled("np.rint({0})", dtype)
    if abs(decimals) > _DECIMALS[dtype.name]:
        return None
    scale = f"TYPE({float(10 ** abs(decimals))!r})"
    if decimals > 0:
        return filled(f"np.rint({{0}} * {scale}) / {scale}", dtype)
    return filled(f"np.rint({{0}} / {scale}) * {scale}", dtype)
