"""Choose the compiled loop for each kind of reduction, and run it over a block's leaves.

It looks at dtypes, extents and strides; what the numbers mean is for others.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from oocarray.jit import ArgType, ArrayArg, ScalarArg, TupleArg, kernel
from oocarray.leaves.combine import PARTIALS, pair_sum
from oocarray.leaves.kernels import LANES, Function, make_walk, rules
from oocarray.leaves.stats import histogram_walk
from oocarray.leaves.walk import Loop

__all__ = ["Recipe", "pack", "partial_dtype", "recipe"]

_CONVERTED = ("argmin", "argmax", "histogram", "split")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A rule with its constants, for one element type."""

    rule: str
    constants: tuple[bool | str, ...]
    work: np.dtype
    state: np.dtype
    seed: tuple[float, ...]
    extra: int = 0
    lanes: int = 512

    def function(self, compiled: bool) -> Function:
        """Return the kernel's Python function, its parts wrapped for numba or plain."""
        return _walk(self.rule, self.constants, compiled)

    def loop(self, edges: np.ndarray | None) -> Loop:
        """Return what the walk needs to know."""
        seed = np.array(self.seed, self.state) if edges is None else edges
        fields = len(self.seed) if edges is None else len(edges) - 1
        return Loop(
            work=self.work,
            state=self.state,
            out=self.state if edges is None else np.dtype("i8"),
            seed=seed,
            fields=fields,
            depth=max(1, len(self.seed) + self.extra),
            lanes=self.lanes,
            ordered=self.rule == "extreme_index",
        )

    def arguments(self, edges: np.ndarray | None) -> tuple[ArgType, ...]:
        """Return the types of the kernel's arguments."""
        loop = self.loop(edges)
        # `flat` is only read.  Typed as `buf` is, the rules are compiled once instead of twice.
        return (
            ArrayArg(loop.work, 1, readonly=False),
            TupleArg((ScalarArg("int"),) * 10),
            ArrayArg(loop.seed.dtype, 1),
            ArrayArg(loop.state, 2, readonly=False),
            ArrayArg(loop.work, 1, readonly=False),
            ArrayArg(loop.out, 4, readonly=False),
        )


@functools.cache
def _walk(rule: str, constants: tuple[bool | str, ...], compiled: bool) -> Function:
    if rule == "histogram":
        return histogram_walk(bool(constants[0]))
    update, merge = rules(rule, *constants)
    return make_walk(kernel(update), kernel(merge)) if compiled else make_walk(update, merge)


def recipe(kind: str, dtype: np.dtype, skip: bool, uniform: bool, edges: str = "f8") -> Recipe:
    """Choose the loop of a reduction of a native real dtype; `skip` passes over NaN."""
    f8: np.dtype = np.dtype("f8")
    i8: np.dtype = np.dtype("i8")
    u1: np.dtype = np.dtype("u1")
    work = u1 if dtype.kind == "b" else np.dtype("f4") if dtype.char == "e" else dtype
    signed = i8 if work == np.dtype("u8") else work  # the same bits
    if kind in ("sum", "skipsum"):
        lanes = 256 if skip else LANES
        return Recipe("float_sum", (skip,), work, f8, (0, 0, 0) if skip else (0, 0), lanes=lanes)
    if kind == "split":
        return Recipe("split_sum", (work != signed,), signed, i8, (0, 0))
    if kind == "scaled":
        return Recipe("float_prod", (skip,), work, f8, (1, 0), lanes=64)
    if kind == "moments":
        return Recipe("moments", (skip,), work, f8, (0, 0, 0, 0), extra=4, lanes=64)
    if kind in ("int_sum", "int_prod"):
        return Recipe("whole", (kind[4:],), signed, i8, (int(kind == "int_prod"),))
    if kind in ("count", "any", "all"):
        lane = i8 if kind == "count" else u1
        return Recipe("whole", (kind,), work, lane, (int(kind == "all"),))
    if kind in ("min", "max"):
        return Recipe("extreme", (kind == "max", skip), work, work, (_worst(work, kind, skip),))
    if kind in ("argmin", "argmax"):
        constants = (kind == "argmax", skip, work != signed)
        state = f8 if work.kind == "f" else i8
        return Recipe("extreme_index", constants, signed, state, (0, -1), lanes=128)
    return Recipe("histogram", (uniform,), work, np.dtype(edges), ())


def _worst(dtype: np.dtype, kind: str, skip: bool) -> float:
    if dtype.kind == "f":
        return np.nan if skip else np.inf if kind == "min" else -np.inf
    limits = np.iinfo(dtype)
    return int(limits.max if kind == "min" else limits.min)


def pack(kind: str, numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Turn a kernel's (L, A, B, F) numbers into (L, A, B) partials."""
    if dtype.names is None:
        return np.asarray(numbers[..., 0].astype(dtype, copy=False))
    out = np.empty(numbers.shape[:3] if kind in _CONVERTED else 0, dtype)
    if kind == "histogram":
        out["counts"] = numbers
        return out
    if kind == "split":
        high, low = numbers[..., 0] * 2.0**32, numbers[..., 1].astype("f8")
        out["hi"] = high + low
        part = out["hi"] - high
        out["lo"] = (high - (out["hi"] - part)) + (low - part)
        return out
    if kind in ("argmin", "argmax"):
        out["value"], out["index"] = numbers[..., 0], numbers[..., 1]
        return out
    # The numbers are the fields, in order: where results are many, each copy here would show.
    whole = numbers.view(dtype)[..., 0]
    if "lo" in dtype.names and not np.isfinite(whole["lo"]).all():
        with np.errstate(all="ignore"):
            whole["hi"], whole["lo"] = pair_sum(whole["hi"], whole["lo"])
    return np.asarray(whole)


def partial_dtype(kind: str, dtype: np.dtype, bins: int) -> np.dtype:
    """Return what a leaf of a native dtype leaves behind per kept element."""
    found = PARTIALS[kind]
    paired = dtype.kind == "c"
    if kind in ("argmin", "argmax"):
        value = "c16" if paired else "f8" if dtype.kind == "f" else "i8"
        return np.dtype([("value", value), ("index", "i8")])
    if kind == "histogram":
        return np.dtype([("counts", "i8", (bins,))])
    if found is None:
        return dtype if paired else recipe(kind, dtype, False, False).work
    if paired and kind in ("sum", "skipsum", "moments"):
        return np.dtype([("re", found), ("im", found)])
    return found
