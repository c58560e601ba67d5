"""Runs one expression on several backends, compares what comes out; it measures nothing itself.

Each run is a fresh process, so that time, memory and bytes are one backend's own.
"""

from __future__ import annotations

import errno
import os
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from .comparisoncache import Cache, files_of, let_go, name_of
from .comparisondiff import Difference, difference, widest
from .comparisonrun import Failed, Measured, Result, run
from .comparisontable import Comparison, Row
from .config import InForce, merged
from .core import Array
from .opening import from_array, open
from .runtime.channel import LARGEST
from .units import format_bytes

__all__ = ["BACKENDS", "compare"]

BACKENDS = ("mapped", "dask", "zarr")

Told = Callable[[str, int, int], None]
_MOST_SENT = LARGEST - (1 << 20)
"""Bytes: something goes with it in the message."""


def compare(
    func: Callable[..., Any],
    *inputs: Any,
    rtol: float = 1e-6,
    atol: float = 0.0,
    backends: Sequence[str] = BACKENDS,
    repeat: int = 1,
    folder: str | os.PathLike[str] | None = None,
    json: str | os.PathLike[str] | None = None,
    png: str | os.PathLike[str] | None = None,
    cold: bool = True,
    told: Told | None = None,
    **options: Any,
) -> Comparison:
    """Run an expression of your own on several backends; say what each took, and if they agree.

    Parameters
    ----------
    func : callable
        Takes one `Array` per input, returns an `Array`, or tuples, lists and dicts of these.
    *inputs : path-like, Array or array-like
        What is in a file stays there; other arrays are sent to each run.
    rtol, atol : float
        How far elements may be apart, as for `numpy.allclose`. NaN equals NaN; integers must be
        equal, and so must shapes and dtypes.
    backends : sequence of str
        Of ``"mapped"``, ``"dask"`` and ``"zarr"``. The results of the first that has any are
        those that the others are held against.
    repeat : int
        Runs of each, in an order that rotates; medians are shown.
    folder : path-like, optional
        For results of more than 16 MiB, which are stored, compared and removed again. Default:
        beside the first input, or where temporary files go.
    json, png : path-like, optional
        Files to write the numbers, or a chart of them, to.
    cold : bool
        Whether the files of the inputs are dropped from the page cache before each run; False:
        they are read into it.
    told : callable, optional
        Called before each run with the backend, which of its runs it is, and of how many.
    **options
        As of `oocarray.options`, for every backend.

    Returns
    -------
    Comparison
        Prints as a table. A backend that cannot do it, or fails, is a row that says so.

    Examples
    --------
    >>> import numpy as np
    >>> import oocarray as oo
    >>> x = np.arange(1000.0)
    >>> found = oo.compare(lambda x: {"mean": x.mean()}, x, backends=["mapped"], workers=1)
    >>> found.agree, [row.backend for row in found.rows]
    (True, ['mapped'])
    """
    if not callable(func):
        raise TypeError(f"func={func!r} is no function of the inputs")
    names = _checked(backends, repeat, rtol, atol, options)
    _check_places(json, png)
    arrays = [_array(one) for one in inputs]
    files = list(dict.fromkeys(files_of(arrays)))
    parcel = _parcel(func, arrays, options)
    base = os.fspath(folder) if folder is not None else _beside(files)
    trials = _Trials(names, rtol, atol)
    cache = Cache(files, cold)
    aside = tempfile.mkdtemp(prefix=".oocarray-compare-", dir=base)
    try:
        for number in range(repeat * len(names)):
            turn, place = divmod(number, len(names))
            name = names[(turn + place) % len(names)]
            if trials.failed.get(name):
                continue  # it would again
            if told is not None:
                told(name, turn + 1, repeat)
            own = os.path.join(aside, str(number))
            os.mkdir(own)
            trials.take(name, run(parcel, name, own, partial(cache.prepare, name)), own)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    found = Comparison(
        rows=tuple(trials.row(name, cache.before[name]) for name in names),
        function=getattr(func, "__name__", type(func).__name__),
        inputs=tuple(map(name_of, arrays)),
        # nan, of a selection whose size only a run finds out, is left out.
        nbytes=sum(array.nbytes for array in arrays if array.nbytes == array.nbytes),
        repeat=repeat,
        cold=cold,
        rtol=rtol,
        atol=atol,
    )
    if json is not None:
        found.to_json(json)
    if png is not None:
        found.to_png(png)
    return found


def _checked(
    backends: Sequence[str], repeat: int, rtol: float, atol: float, options: dict[str, Any]
) -> list[str]:
    names = [backends] if isinstance(backends, str) else list(backends)
    unknown = [name for name in names if name not in BACKENDS]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(f"backends={names!r}: name some of {', '.join(BACKENDS)}, each once")
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
        raise ValueError(f"repeat={repeat!r} is not a whole number above 0")
    if not (rtol >= 0 and atol >= 0):
        raise ValueError(f"rtol={rtol!r}, atol={atol!r}: neither may be negative")
    if "backend" in options:
        raise TypeError("backend= is for one run; say which are compared by backends=")
    merged(options)
    return names


def _check_places(json: Any, png: Any) -> None:
    """Refuse what could not be written, before hours were spent on it."""
    for path in (json, png):
        if path is not None:
            folder = os.path.dirname(os.path.abspath(path))
            os.scandir(folder).close()
            place = path if os.path.exists(path) else folder
            if not os.access(place, os.W_OK):
                raise PermissionError(errno.EACCES, "it cannot be written", os.fspath(place))
            if os.path.isdir(path):
                raise IsADirectoryError(errno.EISDIR, "it is a folder", os.fspath(path))
    if png is not None:
        try:
            import matplotlib.figure  # noqa: F401
        except ImportError as error:
            raise ImportError("a picture needs matplotlib: pip install 'oocarray[plot]'") from error


def _array(value: Any) -> Array:
    if isinstance(value, Array):
        return value
    return open(value) if isinstance(value, (str, os.PathLike)) else from_array(value)


def _parcel(func: Callable[..., Any], arrays: list[Array], options: dict[str, Any]) -> bytes:
    """What a run is given; functions of ``__main__`` travel by value."""
    from .runtime.carry import pack_value

    found = InForce()
    # What the environment says the child reads for itself.
    chosen = {name: found[name] for name in found if found.sources[name] in ("with", "set")}
    chosen = {"progress": False, **chosen, **options}
    chosen.pop("backend", None)
    if not isinstance(chosen.get("scheduler", ""), str):
        raise TypeError(
            "each run is in a process of its own, which a client of dask.distributed cannot be "
            "sent to; give scheduler= as a name"
        )
    try:
        packed = pack_value((func, arrays, chosen))
    except Exception as error:
        raise TypeError(
            f"{getattr(func, '__name__', func)!r} cannot be sent to another process: {error}"
        ) from error
    if len(packed) > _MOST_SENT:
        raise ValueError(
            f"inputs in memory of {format_bytes(len(packed))}: each run would be sent all of them; "
            "save them (np.save) and compare with the files"
        )
    return packed


def _beside(files: list[str]) -> str:
    """A folder that large results can go to."""
    place = os.path.dirname(files[0]) if files else ""
    while place != os.path.dirname(place) and _is_zarr(place):
        place = os.path.dirname(place)  # nothing of ours in a Zarr hierarchy
    return place if place and os.access(place, os.W_OK | os.X_OK) else tempfile.gettempdir()


def _is_zarr(folder: str) -> bool:
    names = ("zarr.json", ".zgroup", ".zarray")
    return folder.endswith(".zarr") or any(os.path.exists(f"{folder}/{name}") for name in names)


class _Trials:
    """What the runs so far took, and in how far their results were the same."""

    def __init__(self, names: list[str], rtol: float, atol: float) -> None:
        self.names, self.rtol, self.atol = names, rtol, atol
        self.runs: dict[str, list[Measured]] = defaultdict(list)
        self.failed: dict[str, Failed] = {}
        self.differences: dict[str, Difference] = {}
        self.reference = ""
        self._expected: list[Result] = []

    def take(self, name: str, found: Measured | Failed, folder: str) -> None:
        """Take what a run left; `folder` has its large results, and goes unless it is needed."""
        if isinstance(found, Failed):
            self.failed[name] = found
            # What its workers leave they may still be removing.
            shutil.rmtree(folder, ignore_errors=True)
            return
        self.runs[name].append(found)
        for result in found.results:
            if result.path is not None:
                _settle(result.path)
        if not self.reference:
            # Its files stay, for the others.
            self.reference, self._expected = name, found.results
            self.differences[name] = Difference()
            return
        more = self._difference(found.results)
        before = self.differences.get(name, Difference())
        # The same elements again are no more of them.
        differing = max(before.differing, more.differing)
        self.differences[name] = replace(widest(before, more), differing=differing)
        shutil.rmtree(folder, ignore_errors=True)

    def _difference(self, results: list[Result]) -> Difference:
        labels = [result.label for result in results]
        if labels != [result.label for result in self._expected]:
            return Difference(words=f"returned other things: {', '.join(labels)}", differing=1)
        found = Difference()
        other = f"by {self.reference}"
        for one, two in zip(results, self._expected, strict=True):
            more = difference(one.load(), two.load(), self.rtol, self.atol, other)
            if more.words and len(results) > 1:
                more = Difference(
                    more.max_abs, more.max_rel, more.differing, more.first,
                    f"{one.label}: {more.words}",
                )  # fmt: skip
            found = widest(found, more)
        return found

    def row(self, name: str, before: list[float]) -> Row:
        """Say it in numbers: medians of the runs, the worst of the differences."""
        runs, failed = self.runs.get(name, []), self.failed.get(name)
        note, state = "", "reference" if name == self.reference else "agrees"
        difference = self.differences.get(name, Difference())
        if failed is not None:
            note, state = failed.words, failed.kind
        if runs and difference.words:
            note, state = difference.words, "differs"
        return Row(
            backend=name,
            state=state,
            wall=_median([one.wall for one in runs]),
            cpu=_median([one.cpu for one in runs]),
            peak=_whole([one.peak for one in runs]),
            read=_whole([one.read for one in runs]),
            written=_whole([one.written for one in runs]),
            agrees=not difference.words if runs else None,
            max_abs=difference.max_abs,
            max_rel=difference.max_rel,
            note=note,
            differing=difference.differing,
            first=difference.first,
            rss=_whole([one.rss for one in runs]),
            runs=len(runs),
            cached=max(before, default=None),
            walls=tuple(one.wall for one in runs),
            trace=failed.trace if failed is not None else "",
        )


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _whole(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return int(statistics.median(known)) if known and len(known) == len(values) else None


def _settle(path: str) -> None:
    """Write a result to the disk and let it go, so that the next run is not disturbed by it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        let_go(fd)
    finally:
        os.close(fd)
