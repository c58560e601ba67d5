"""The command ``oocarray residency``: which parts of a file are in the page cache; only looks."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..errors import DtypeError, FormatError
from ..units import format_bytes, format_count
from .folders import folder_of
from .output import complain, console, emit
from .words import Usage, array_options, json_option, new_command, open_array, raw_options, seconds

if TYPE_CHECKING:
    from rich.console import Console

    from ..grid import Grid
    from ..pages.pagecache import Counts
    from ..storage.layout import Strided
    from .heat import Cell, Geometry

__all__ = ["Blocks", "Look", "add"]

Ranges = list[tuple[int, int]]
_BYTES = 16 << 20
"""Block of a file that is no array."""
_LINES = 10
_MOST = 120
"""Columns of the picture at most: longer lines are hard to follow."""
_PNG = (192, 48)


def add(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray residency``."""
    command = new_command(
        commands,
        "residency",
        _run,
        help="draw which blocks of a file are in the page cache",
        description="Draw which parts of a file are in the page cache, which are dirty or being "
        "written, and which were evicted because memory was needed. The picture is read like "
        "text, block after block, in the order of the file. Any file will do: one that is no "
        "array is shown in blocks of 16 MiB; of a folder of Zarr there are numbers, no picture. "
        "Asking changes nothing.",
        examples=(
            "oocarray residency scene.npy",
            "oocarray residency scene.npy --watch 1",
            "oocarray residency scene.npy --png cache.png",
            "oocarray residency scene.npy --json",
        ),
    )
    command.add_argument("file", metavar="FILE", help="file to look at")
    command.add_argument("--png", metavar="OUT", help="draw a PNG file too (needs matplotlib)")
    command.add_argument(
        "--watch", type=seconds, metavar="SECONDS", help="draw it again and again, until Ctrl-C"
    )
    array_options(command)
    json_option(command)
    return command


@dataclass(frozen=True)
class Blocks:
    """A file cut into blocks, in the order in which they lie in it."""

    path: str
    size: int
    count: int
    layout: Strided | None = None
    grid: Grid | None = None

    def coords(self, number: int) -> tuple[int, ...]:
        """Position in the array's grid of the block that is so far on in the file."""
        assert self.grid is not None
        assert self.layout is not None
        if self.layout.order == "F":
            return self._backwards.coords(number)[::-1]
        return self.grid.coords(number)

    @cached_property
    def _backwards(self) -> Grid:
        from ..grid import Grid

        assert self.grid is not None
        return Grid(self.grid.chunks[::-1])

    def ranges(self, number: int) -> Ranges:
        """Where in the file the bytes of a block are."""
        if self.layout is None or self.grid is None:
            return [(number * _BYTES, min((number + 1) * _BYTES, self.size))]
        return self.layout.runs(self.grid.region(self.coords(number)))

    def name(self) -> str:
        """Say what the blocks are."""
        if self.layout is None or self.grid is None:
            return f"{format_count(self.count, 'block')} of {format_bytes(min(_BYTES, self.size))}"
        words = f"{self.layout.shape} {self.layout.dtype}"
        return f"{words}, {format_count(self.count, 'block')} of {self.grid.max_block_shape}"


@dataclass(frozen=True)
class Look:
    """What was seen of a file at one moment."""

    blocks: Blocks
    geometry: Geometry
    cells: list[Cell]
    total: Counts


def blocks_of(arguments: argparse.Namespace) -> Blocks:
    """Cut the file as a run would cut its array; if it holds none, in pieces of bytes."""
    from ..grid import Grid
    from ..storage.files import open_regular
    from ..storage.finding import sniff
    from ..storage.layout import Strided

    path: str = arguments.file
    fd = open_regular(path)
    size = os.fstat(fd).st_size
    os.close(fd)
    given = (arguments.shape, arguments.chunks, arguments.dataset)
    told = any(word is not None for word in given)
    try:
        if told or sniff(path) == "npy":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of bytes after the array
                array = open_array(arguments)
            layout, grid = array.layout, Grid(array.chunks)
            if not isinstance(layout, Strided):
                raise ValueError(
                    f"{path}: its array lies in chunks, not in one run; leave out --chunks and "
                    "--dataset to see the file as bytes"
                )
            if array.size:
                return Blocks(path, size, grid.size, layout, grid)
    except (FormatError, DtypeError) as error:
        if told:
            raise
        complain(f"{error}; it is shown as bytes", "warning")
    return Blocks(path, size, -(-size // _BYTES))


def look(blocks: Blocks, columns: int, rows: int) -> Look:
    """Count the pages of each cell of a picture of so many columns and rows."""
    from ..pages.pagecache import count_pages, total
    from ..storage.files import open_regular
    from .heat import Cell, arrange

    geometry = arrange(blocks.count, blocks.size, columns, rows)
    fd = open_regular(blocks.path)
    try:
        cells = [
            Cell(_whole_pages(ranges), total(count_pages(fd, ranges)))
            for ranges in _cells(blocks, geometry)
        ]
        (whole,) = count_pages(fd, [(0, blocks.size)])
    finally:
        os.close(fd)
    return Look(blocks, geometry, cells, whole)


def _cells(blocks: Blocks, geometry: Geometry) -> Iterator[Ranges]:
    from ..pages.pagecache import cuts_of

    if geometry.parts > 1:
        for number in range(blocks.count):
            yield from cuts_of(blocks.ranges(number), geometry.parts)
        return
    for cell in range(geometry.cells):
        first = cell * blocks.count // geometry.cells
        last = (cell + 1) * blocks.count // geometry.cells
        yield list(chain.from_iterable(map(blocks.ranges, range(first, last))))


def _whole_pages(ranges: Ranges) -> int:
    from ..pages.calls import PAGE

    return sum(-(-stop // PAGE) - start // PAGE for start, stop in ranges) * PAGE


def _run(arguments: argparse.Namespace) -> None:
    raw_options(arguments)
    if arguments.watch and (arguments.json or arguments.png):
        given = "--json" if arguments.json else "--png"
        raise Usage(f"--watch shows pictures until Ctrl-C; it does not go with {given}")
    if folder := folder_of(arguments, arguments.file):
        _show_folder(arguments, folder)
        return
    if arguments.png:
        from ..reporting import why_no_figures

        reason = why_no_figures()
        if reason:
            raise ValueError(f"--png cannot draw: {reason}")
    if arguments.watch:
        _watch(arguments)
        return
    blocks = blocks_of(arguments)
    if arguments.png:
        from .picture import draw

        draw(arguments.png, look(blocks, *_PNG))
    emit(
        arguments,
        _record(blocks, arguments.png) if arguments.json else {},
        lambda on: _show(on, blocks, arguments.png),
    )


def _show_folder(arguments: argparse.Namespace, folder: str) -> None:
    """Numbers in place of a picture: in a folder no block comes after another."""
    from .foldercache import residency_of, show_residency

    for option in ("png", "watch", "chunks"):
        if getattr(arguments, option) is not None:
            raise ValueError(
                f"{arguments.file}: --{option} is for the picture of one file, and this is a "
                "folder of many; leave it out, or name one of its files"
            )
    record = residency_of(arguments.file, folder)
    emit(arguments, record, lambda on: show_residency(on, record))


def _show(on: Console, blocks: Blocks, png: str | None) -> None:
    on.print(seen(on, blocks))
    if png:
        on.print(f"Drawn to {png}")


def seen(on: Console, blocks: Blocks) -> Any:
    """Look, as finely as the console has room for, and return what to print on it."""
    from .terminal import render

    coloured = on.color_system is not None and on.is_terminal
    digits = max(len(str(blocks.count)), 5)
    columns = max(min(on.width - digits - 5, _MOST), 8)
    unicode = (on.encoding or "").lower().replace("-", "").startswith("utf")
    rows = _LINES * 2 if coloured and unicode else _LINES
    return render(look(blocks, columns, rows), coloured, unicode, on.width)


def _watch(arguments: argparse.Namespace) -> None:
    on = console()
    if not on.is_terminal:
        while True:
            on.print(seen(on, blocks_of(arguments)))
            on.print()
            sys.stdout.flush()
            time.sleep(arguments.watch)
    from rich.live import Live

    with Live(seen(on, blocks_of(arguments)), console=on, auto_refresh=False) as live:
        while True:
            time.sleep(arguments.watch)
            # The file is opened anew: it may have grown, or be another one by now.
            live.update(seen(on, blocks_of(arguments)), refresh=True)


def _record(blocks: Blocks, png: str | None) -> dict[str, Any]:
    from ..pages.pagecache import count_pages, total
    from ..storage.files import open_regular

    fd = open_regular(blocks.path)
    try:
        (whole,) = count_pages(fd, [(0, blocks.size)])
        rows = []
        for number in range(blocks.count):
            ranges = blocks.ranges(number)
            where: dict[str, Any] = {"start": ranges[0][0], "stop": ranges[-1][1]} if ranges else {}
            if blocks.grid is not None:
                where = {"block": blocks.coords(number), **where}
            rows.append({**where, **_numbers(total(count_pages(fd, ranges)))})
    finally:
        os.close(fd)
    record: dict[str, Any] = {"path": blocks.path, "size": blocks.size}
    if blocks.layout is not None and blocks.grid is not None:
        record |= {"shape": blocks.layout.shape, "dtype": str(blocks.layout.dtype)}
        record |= {"numblocks": blocks.grid.numblocks, "blockshape": blocks.grid.max_block_shape}
    known = whole.cached is not None
    source = ("mincore" if whole.dirty is None else "cachestat") if known else None
    record |= {"source": source, "total": _numbers(whole), "blocks": rows}
    return record | ({"png": png} if png else {})


def _numbers(counts: Counts) -> dict[str, int | None]:
    names = ("cached", "dirty", "writeback", "evicted", "recently_evicted")
    return {name: getattr(counts, name) for name in names}
