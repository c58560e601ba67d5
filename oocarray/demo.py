"""A tour on data made for the purpose: makes, calibrates, measures, changes and checks a scene.

What it makes lies in a folder of its own and is removed at the end, however that comes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import oocarray as oo

from .demochecks import Checks, thumbnails
from .held import ALLOWANCE, HeldMemory, cpu_seconds, family, own_bytes
from .landscape import BANDS, detector, scene, shape_for
from .reporting import draw_histogram, draw_quicklook, why_no_figures
from .units import format_bytes, format_seconds

__all__ = ["Settings", "Step", "run_demo", "space_needed"]

HAZE = 0.02
"""Light that the air adds to the green band, as reflectance."""
_HEADER = 4096
_PICTURES = 8 << 20


@oo.kernel
def calibrate(out: Any, counts: Any, dark: Any, gain: Any) -> None:
    """Turn raw counts into reflectance, each detector column by its own dark signal and gain."""
    for b in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[b, i, j] = (np.float32(counts[b, i, j]) - dark[j]) * gain[j]


@oo.kernel
def vegetation(out: Any, red: Any, nir: Any) -> None:
    """Compute the normalised difference vegetation index."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = (nir[i, j] - red[i, j]) / (nir[i, j] + red[i, j])


@oo.kernel
def remove_haze(block: Any, haze: Any) -> None:
    """Take a constant from a block, in place, but leave nothing below zero."""
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            block[i, j] = max(block[i, j] - np.float32(haze), np.float32(0))


@dataclass(frozen=True)
class Settings:
    """What the demonstration is to do."""

    size: int = 2 << 30
    """Bytes of the raw scene."""
    memory: int = 256 << 20
    workers: int | None = None
    folder: str = "oocarray-demo"
    """Where pictures stay, and data is while it is needed."""
    keep: bool = False


@dataclass(frozen=True)
class Step:
    """What one step took."""

    name: str
    read: int
    written: int
    seconds: float
    cpu: float
    """Of this process and all workers, in user and system mode."""
    peak: int
    """Most bytes held at once, beyond what was held before the first step."""


@dataclass
class Tour:
    """A demonstration on its way: where its files are, and what its steps took."""

    settings: Settings
    data: str
    console: Any
    """None: silent."""
    steps: list[Step] = field(default_factory=list)
    processes: int = 1
    held: HeldMemory | None = None
    """Counts from when the workers had started and had no work yet."""
    idle: int = 0
    """Bytes that the workers hold before they have any work."""

    def path(self, name: str) -> str:
        return os.path.join(self.data, name)

    @property
    def shape(self) -> tuple[int, int, int]:
        return shape_for(self.settings.size)

    def measure(self, name: str, read: int, written: int, work: Callable[[], Any]) -> Any:
        """Do one step and note what it took."""
        pids = family([os.getpid()])
        used, began = cpu_seconds(pids), time.perf_counter()
        held = self.held or HeldMemory(children=True)
        held.peak = 0
        with held:
            result = work()
        seconds = time.perf_counter() - began
        cpu = cpu_seconds(pids | family([os.getpid()])) - used
        self.steps.append(Step(name, read, written, seconds, cpu, held.peak))
        self.processes = held.processes
        self.done(f"{name}, {format_seconds(seconds)}")
        return result

    def done(self, what: str) -> None:
        """Say that something is over."""
        if self.console is not None:
            self.console.print(f"  [green]done[/]  {what}", soft_wrap=True)


def space_needed(size: int) -> int:
    """Bytes on disk that a scene of about `size` bytes, what is made of it, and figures take.

    Examples
    --------
    >>> from oocarray.units import format_bytes
    >>> format_bytes(space_needed(2 << 30))
    '7.34 GiB'
    """
    bands, rows, columns = shape_for(size)
    counts, calibrated, index = 2 * bands, 4 * bands, 4
    return (counts + calibrated + index) * rows * columns + 3 * _HEADER + _PICTURES


def run_demo(settings: Settings, console: Any) -> None:
    """Run the demonstration and tell about it.

    Parameters
    ----------
    settings : Settings
    console : rich.console.Console

    Raises
    ------
    OSError
        There is not room enough on the disk; both numbers are named, nothing was made.
    AssertionError
        A result differs from NumPy's.
    """
    with _folders(settings) as data:
        tour = Tour(settings, data, console)
        bands, rows, columns = tour.shape
        size = 2 * bands * rows * columns
        console.print(
            f"[bold]oocarray {oo.__version__}[/]: a scene of {bands} bands ({', '.join(BANDS)}), "
            f"{rows:,} x {columns:,} pixels, {format_bytes(size)}, "
            f"in {format_bytes(settings.memory)} of memory",
            soft_wrap=True,
        )
        with oo.options(memory=settings.memory, workers=settings.workers):
            _prepare(tour)
            counts, edges, statistics = _work(tour)
            checked = Checks(tour.data, tour.shape, HAZE).run()
            tour.done(checked)
        console.print()
        console.print(_table(tour))
        _notes(tour, console)
        _draw(tour, counts, edges, statistics)
        if settings.keep:
            console.print(f"Kept the data in {os.path.abspath(data)}", soft_wrap=True)


@contextlib.contextmanager
def _folders(settings: Settings) -> Iterator[str]:
    """Make the folder for the data, if there is room; remove it again, and what was made for it."""
    folder = os.path.abspath(settings.folder)
    place = folder
    while not os.path.isdir(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    needed, free = space_needed(settings.size), shutil.disk_usage(place).free
    if needed > free:
        raise OSError(
            f"the demonstration needs {format_bytes(needed)} in {folder}, where "
            f"{format_bytes(free)} are free; choose a smaller --size or another --folder"
        )
    made = not os.path.isdir(folder)
    os.makedirs(folder, exist_ok=True)
    data = tempfile.mkdtemp(prefix="data-", dir=folder)
    done = False
    try:
        yield data
        done = True
    finally:
        if not (done and settings.keep):
            shutil.rmtree(data, ignore_errors=True)
        if made and not os.listdir(folder):
            os.rmdir(folder)


def _prepare(tour: Tour) -> None:
    """Start the workers and compile the kernels, on a tiny scene, so that steps measure work."""
    began = time.perf_counter()
    folder = tour.path("small")
    os.mkdir(folder)
    rehearsal = Tour(replace(tour.settings, size=1), folder, None)
    with oo.options(progress=False):
        _work(rehearsal)
    shutil.rmtree(folder)
    others = family([os.getpid()]) - {os.getpid()}
    tour.idle, tour.processes = own_bytes(others), 1 + len(others)
    tour.held = HeldMemory(children=True)
    seconds = format_seconds(time.perf_counter() - began)
    tour.done(f"start workers, compile kernels, {seconds}")


def _work(tour: Tour) -> tuple[Any, Any, dict[str, float]]:
    bands, rows, columns = tour.shape
    pixels = rows * columns
    dark, gain = detector(columns)
    # Blocks of about 4 MiB, one band each: the last one along the rows takes what is left.
    height = max((4 << 20) // (2 * columns), 1)
    cuts = (height,) * (rows // height) + ((rows % height,) if rows % height else ())

    land = oo.map_blocks(
        scene, height, dark, gain, chunks=((1,) * bands, cuts, (columns,)), dtype="u2"
    )
    raw = tour.measure(
        "make the scene", 0, 2 * bands * pixels, lambda: land.store(tour.path("scene.npy"))
    )
    reflectance = oo.map_blocks(calibrate, raw, dark, gain, dtype="f4")
    light = tour.measure(
        "calibrate to float32",
        2 * bands * pixels,
        4 * bands * pixels,
        lambda: reflectance.store(tour.path("calibrated.npy")),
    )
    # The bands are views: no data is copied to hand them over.
    ndvi = oo.map_blocks(vegetation, light[0], light[1])
    index = tour.measure(
        "vegetation index",
        8 * pixels,
        4 * pixels,
        lambda: ndvi.store(tour.path("ndvi.npy")),
    )
    counts, edges = index.histogram(200, range=(-1, 1))
    wanted = {"min": index.min(), "max": index.max(), "mean": index.mean(), "std": index.std()}
    counts, found = tour.measure(
        "statistics, histogram", 4 * pixels, 0, lambda: oo.compute(counts, wanted)
    )
    green = oo.open(tour.path("calibrated.npy"), mode="r+")[2]
    tour.measure(
        "update a band in place",
        4 * pixels,
        4 * pixels,
        lambda: oo.update_blocks(remove_haze, green, HAZE),
    )
    return counts, edges, {name: float(value) for name, value in found.items()}


def _table(tour: Tour) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
    steps = tour.steps
    read, written = sum(s.read for s in steps), sum(s.written for s in steps)
    seconds, cpu = sum(s.seconds for s in steps), sum(s.cpu for s in steps)
    peak = max(s.peak for s in steps)
    total = [
        "all steps", f"{read / 1e9:.2f}", f"{written / 1e9:.2f}", f"{seconds:.2f}",
        f"{(read + written) / 1e9 / seconds:.2f}", f"{cpu:.2f}", format_bytes(peak),
    ]  # fmt: skip
    heads = ["step", "GB in", "GB out", "seconds", "GB/s", "CPU s", "peak held"]
    for number, (head, foot) in enumerate(zip(heads, total, strict=True)):
        table.add_column(head, foot, justify="left" if number == 0 else "right", no_wrap=True)
    limit = tour.settings.memory + tour.processes * ALLOWANCE
    for step in steps:
        rate = (step.read + step.written) / 1e9 / step.seconds
        style = "green" if step.peak <= limit else "red"
        table.add_row(
            step.name,
            f"{step.read / 1e9:.2f}",
            f"{step.written / 1e9:.2f}",
            f"{step.seconds:.2f}",
            f"{rate:.2f}",
            f"{step.cpu:.2f}",
            f"[{style}]{format_bytes(step.peak)}[/]",
        )
    return table


def _notes(tour: Tour, console: Any) -> None:
    budget, others = tour.settings.memory, tour.processes - 1
    console.print(
        f"[dim]GB in, out: read from and written to arrays. CPU s: this process and {others} "
        "others (a server, the workers); what the kernel does for the disk on its own is not in "
        "it.\nPeak held: the most in any moment, beyond what was held before the first step. The "
        f"budget is {format_bytes(budget)}; interpreters and libraries may have "
        f"{format_bytes(ALLOWANCE)} per process beside it, and the {others} others took "
        f"{format_bytes(tour.idle)}.[/]"
    )


def _draw(tour: Tour, counts: Any, edges: Any, statistics: dict[str, float]) -> None:
    missing = why_no_figures()
    if missing is not None:
        tour.console.print(f"No pictures: {missing}", soft_wrap=True)
        return
    folder = os.path.abspath(tour.settings.folder)
    look, histogram = (os.path.join(folder, name) for name in ("scene.png", "histogram.png"))
    picture, index = thumbnails(tour.data, tour.shape)
    _, rows, columns = tour.shape
    draw_quicklook(
        look,
        picture,
        index,
        f"A made-up country, {rows:,} x {columns:,} pixels, seen by a satellite",
    )
    draw_histogram(histogram, counts, edges, statistics)
    tour.console.print(f"Pictures: {look}\n          {histogram}", soft_wrap=True)
