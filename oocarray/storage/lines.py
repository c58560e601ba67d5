"""One axis of a view of an array in pieces, as arithmetic; knows no piece and no file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from oocarray.storage.pieces import Cuts

__all__ = ["Line", "equal", "stretches"]


@dataclass(frozen=True, slots=True)
class Line:
    """One axis of a view: elements ``start + k * step`` of an axis of the table, for k < count.

    An axis of the table that the view lacks is a line of one element; one that only the view has
    is no axis of the table (``axis`` is -1).
    """

    axis: int
    start: int
    step: int
    count: int


def stretches(
    line: Line, cut: Cuts | None, start: int, stop: int
) -> Iterator[tuple[int, int, int]]:
    """Cut ``start:stop`` of a line where pieces end: (piece, first, end), in order."""
    at = start
    while at < stop:
        if cut is None or not line.step:
            number = 0 if cut is None else cut.find(line.start)
            yield number, at, stop
            return
        position = line.start + at * line.step
        number = cut.find(position)
        low, high = cut.span(number)
        if line.step > 0:
            end = at + -(-(high - position) // line.step)
        else:
            end = at + (position - low) // -line.step + 1
        end = min(end, stop)
        yield number, at, end
        at = end


def equal(extent: int, most: int) -> tuple[int, ...]:
    whole, rest = divmod(extent, most)
    return (most,) * whole + ((rest,) if rest or not whole else ())
