"""Decides which pages a run keeps, how much is in flight, what may be dropped; pure numbers.

Nothing here touches a page: the worker populates, the coordinator drops, both as told.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ..units import format_bytes
from .tuning import DEFAULT

__all__ = ["FOLIO", "Finished", "Residency", "choose_residency", "work_unit"]

FOLIO = 2 << 20
"""Largest piece in which Linux caches a file: at a block's edge two blocks share one."""

SMALLEST_UNIT = 256 << 10
"""Below, the message costs more than the work; above `Tuning.unit`, more gains nothing."""


@dataclass(frozen=True, slots=True)
class Residency:
    """How a run treats its pages, and why.

    ``"resident"``: mappings stay, nothing is dropped or written early.  ``"stream"``: windows
    of the files pass through memory: prefetched, written behind, dropped behind.
    """

    policy: Literal["resident", "stream"]
    reason: str


def choose_residency(distinct_bytes: int, budget: int) -> Residency:
    """Choose how a run treats its pages.

    Parameters
    ----------
    distinct_bytes : int
        Bytes of all arrays that the run touches, each counted once.
    budget : int
        Bytes that the run may hold.

    Examples
    --------
    >>> choose_residency(8 << 30, 1 << 30)
    Residency(policy='stream', reason='8 GiB do not fit the budget of 1 GiB')
    """
    sizes = f"{format_bytes(distinct_bytes)} {{}} the budget of {format_bytes(budget)}"
    if distinct_bytes <= budget:
        return Residency("resident", sizes.format("fit"))
    return Residency("stream", sizes.format("do not fit"))


def work_unit(budget: int, workers: int, arrays: int, largest: int = DEFAULT.unit) -> int:
    """Bytes of one array that one task works on: a quarter of a worker's share.

    A worker has up to four tasks at once: one prefetched, one computed, two on their way out.

    Examples
    --------
    >>> work_unit(256 << 20, 2, 1) >> 20
    32
    """
    share = budget // (max(workers, 1) * max(arrays, 1) * 4)
    return min(max(share, SMALLEST_UNIT), largest)


class Finished:
    """The union of byte ranges of one file that a run is done with.

    Ranges in `keep` (cached before the run began) are never offered for dropping.
    """

    __slots__ = ("_keep", "_starts", "_stops")

    def __init__(self, keep: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._keep: list[tuple[int, int]] = []
        for start, stop in sorted(keep):
            if self._keep and start <= self._keep[-1][1]:
                self._keep[-1] = self._keep[-1][0], max(stop, self._keep[-1][1])
            else:
                self._keep.append((start, stop))

    def add(self, start: int, stop: int, reach: int) -> list[tuple[int, int]]:
        """Add a range; return what may be dropped now.

        The answer reaches up to `reach` bytes (a block and a folio) to both sides, as far as
        those bytes are finished too: at the edge lie pages that the neighbour's task had
        mapped when it was dropped.
        """
        first = bisect.bisect_left(self._stops, start)
        last = bisect.bisect_right(self._starts, stop)
        low, high = start, stop
        if first < last:
            low, high = min(start, self._starts[first]), max(stop, self._stops[last - 1])
        self._starts[first:last] = [low]
        self._stops[first:last] = [high]
        return list(self.without_kept(max(low, start - reach), min(high, stop + reach)))

    def spans(self) -> Iterator[tuple[int, int]]:
        """All finished ranges, what is kept of them included."""
        return zip(self._starts, self._stops, strict=True)

    def all(self) -> list[tuple[int, int]]:
        """Return every finished range that may be dropped."""
        return [part for span in self.spans() for part in self.without_kept(*span)]

    def without_kept(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """A range, less what was cached before the run began."""
        first = bisect.bisect_right(self._keep, (start, start)) - 1
        for kept_start, kept_stop in itertools.islice(self._keep, max(first, 0), None):
            if kept_stop <= start:
                continue
            if kept_start >= stop:
                break
            if kept_start > start:
                yield start, kept_start
            start = kept_stop
        if start < stop:
            yield start, stop
