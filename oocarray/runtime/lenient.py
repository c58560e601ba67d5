"""Goes on where a block function raises: leaves its block out or fills it; forgives nothing else.

Only what the user's own function raises counts.  A disk that fails, a block of the wrong shape
or Ctrl-C end the run as ever.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PlanError
from ..grid import Coords
from ..plan import Blocks, OnError, Partials, Plan, Scratch, Stage
from ..program import (
    Call,
    Input,
    Pick,
    Program,
    Tile,
    calls_in,
    dtype_of,
    transformed,
)
from .evaluate import Block, Evaluator
from .job import Partial

if TYPE_CHECKING:
    from .engine import Engine, Prepared

__all__ = ["GuardedEvaluator", "Lenient", "check_on_error", "fill_of", "guarded"]

_LONGEST = 200
_MANY_TIMES = "ended its worker again and again"


# ---- before the run -----------------------------------------------------------------------------


def check_on_error(plan: Plan, on_error: OnError, fill_value: Any) -> None:
    """Refuse what cannot be left out, or cannot be filled.

    Raises
    ------
    PlanError
        Nothing has run.
    """
    if on_error == "raise":
        return
    for stage in plan.stages:
        if not isinstance(stage.kernel, Program) or not calls_in(stage.kernel.values):
            continue
        if stage.in_place:
            raise PlanError(
                f"{stage.label}: on_error={on_error!r} does not go with an update in place: a "
                "block whose function raised may be half changed, and nobody knows what it was "
                "before; catch the exception in the function before it changes the block, or let "
                "map_blocks make a new file, where on_error= works"
            )
        for number, write in enumerate(stage.writes):
            _check_write(stage, number, write, on_error, fill_value)


def _check_write(stage: Stage, number: int, write: Any, on_error: OnError, fill_value: Any) -> None:
    value = stage.kernel.values[number]
    if isinstance(value, Input) or not calls_in([value]):
        return
    if not value.known:
        raise PlanError(
            f'{stage.label}: on_error="{on_error}" needs blocks of known size; give map_blocks '
            "the sizes in chunks="
        )
    if isinstance(write, Partials) and on_error == "skip":
        raise PlanError(
            f'{stage.label}: on_error="skip" leaves a block out of a file, but nothing can be left '
            'out of a reduction; use on_error="fill" with a reduction that ignores the fill value, '
            "such as nansum, nanmean or nanmax"
        )
    if on_error == "fill":
        fill_of(
            write.target.dtype if isinstance(write, Blocks) else _dtype(value, write), fill_value
        )


def _dtype(value: Call | Pick | Tile, write: Any = None) -> np.dtype[Any]:
    return write.dtype if isinstance(write, Scratch) else dtype_of(value)


def fill_of(dtype: np.dtype[Any], fill_value: Any) -> Any:
    """The value that stands for a block that could not be made, as an array of no dimension.

    Raises
    ------
    PlanError
        The dtype cannot hold it.

    Examples
    --------
    >>> fill_of(np.dtype("f4"), None), fill_of(np.dtype("u1"), None), fill_of(np.dtype("i4"), -1)
    (array(nan, dtype=float32), array(0, dtype=uint8), array(-1, dtype=int32))
    """
    if fill_value is None:
        if dtype.kind in "fc":
            return np.full((), np.nan, dtype)
        return np.full((), "NaT", dtype) if dtype.kind in "mM" else np.zeros((), dtype)
    given = np.asarray(fill_value)
    try:
        if given.dtype.kind == "c" and dtype.kind != "c":
            raise ValueError("it is complex")
        with np.errstate(invalid="ignore"):
            # Text comes from the environment: it says what it says in the dtype.
            text = given.dtype.kind == "U" and dtype.kind != "U"
            filled = given.astype(dtype) if text else np.full((), given, dtype)
        if dtype.kind in "biu" and not text and filled != given:
            raise ValueError(f"it would become {filled}")
    except (TypeError, ValueError, OverflowError) as error:
        raise PlanError(f"fill_value={fill_value!r} does not fit dtype {dtype}: {error}") from None
    if filled.shape:
        raise PlanError(f"fill_value={fill_value!r:.60} is no single value")
    return filled


# ---- in the run ---------------------------------------------------------------------------------


class _Raised(Exception):
    """Carries what the user's function raised."""


class _Guard:
    """Calls a user's function, and marks what it raises as its own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._function(*args, **kwargs)
        except Exception as error:
            raise _Raised from error


def guarded(program: Program) -> Program:
    """The same program, with its functions in guards."""

    def change(node: Any, original: Any) -> Any:
        return replace(node, function=_Guard(node.function)) if isinstance(node, Call) else node

    return replace(program, values=transformed(program.values, change))


class GuardedEvaluator(Evaluator):
    """As its base, with guards around compiled functions too."""

    def _entry(self, call: Call) -> Callable[..., Any]:
        return _Guard(super()._entry(call))


class Lenient:
    """Works on items as the engine does, and goes on where a function raises.

    Each output of an item stands for itself: one whose function raised is left out or filled,
    the others are what they are.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._job, self._stage = engine, engine.job, engine.stage

    def one(self, coords: Coords, prepared: Prepared, partials: list[Partial]) -> None:
        """Work on the item at `coords`."""
        engine = self._engine
        engine._evaluator.new_item()
        failures: dict[int, str] = {}
        done: dict[int, Block] = {}
        numbered = list(enumerate(self._stage.writes))
        # Blocks first: a reduction of one of them takes what was stored.
        for number, write in sorted(numbered, key=lambda one: isinstance(one[1], Partials)):
            value = engine.program.values[number]
            out = None
            if number in engine._writers:
                windows = prepared.windows.get(number, [])
                out = engine._writers[number].block(coords, windows)
            source = value.call if isinstance(value, Pick) else value
            if prepared.how == "give up" and calls_in([value]):
                failures[id(source)] = _MANY_TIMES
            if id(value) not in done and id(source) not in failures:
                try:
                    done[id(value)] = self._made(number, value, coords, out)
                except _Raised as raised:
                    failures[id(source)] = _short(raised.__cause__)
            if id(source) in failures:
                done[id(value)] = self._missing(number, write, coords, out)
            elif out is not None and done[id(value)] is not out:
                out[...] = done[id(value)]
            if isinstance(write, Partials):
                partials.append(engine._reduced(number, write, done[id(value)], coords))
        if failures:
            prepared.failed.append((coords, next(iter(failures.values()))))

    def _made(self, number: int, value: Any, coords: Coords, out: Block | None) -> Block:
        if out is None:
            return self._engine._value(value, coords)
        # What an array held before may be half overwritten when its function raises.
        aside = self._job.on_error == "skip" and number not in self._job.fresh
        return self._engine._evaluator.value(value, coords, None if aside else out)

    def _missing(self, number: int, write: Any, coords: Coords, out: Block | None) -> Block:
        """What stands for a block that could not be made."""
        if out is None:
            value = self._engine.program.values[number]
            assert isinstance(value, (Call, Pick, Tile))
            shape = [part.stop - part.start for part in self._stage.grid.region(coords)]
            dtype = _dtype(value)
            return np.full(shape, fill_of(dtype, self._job.fill_value), dtype)
        if self._job.on_error == "fill":
            out[...] = fill_of(out.dtype, self._job.fill_value)
        elif number in self._job.fresh:
            out[...] = np.zeros((), out.dtype)
        return out


def _short(error: BaseException | None) -> str:
    """An exception in one line; its frames, which hold blocks of the run, are let go of."""
    assert error is not None
    traceback.clear_frames(error.__traceback__)
    try:
        lines = str(error).splitlines()
    except Exception:
        lines = []
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
