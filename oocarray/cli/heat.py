"""How a file in the page cache looks: cells in rows, each with a colour or a character; pure.

Nothing here asks the system or draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..pages.pagecache import Counts

__all__ = ["ABSENT", "DARK", "LIGHT", "STATES", "Cell", "Geometry", "arrange", "character", "mix"]

Colour = tuple[int, int, int]

ABSENT, CLEAN, DIRTY, WRITEBACK, EVICTED = STATES = (
    "not cached", "clean", "dirty", "being written", "evicted",
)  # fmt: skip
UNKNOWN = "unknown"
DARK: dict[str, Colour] = {
    ABSENT: (48, 53, 62),
    CLEAN: (77, 171, 233),
    DIRTY: (245, 130, 32),
    WRITEBACK: (250, 222, 90),
    EVICTED: (112, 82, 140),
    UNKNOWN: (120, 120, 120),
}
"""Colours for terminals, whatever their background: cells bring their own."""
LIGHT: dict[str, Colour] = {
    ABSENT: (230, 233, 237),
    CLEAN: (31, 111, 178),
    DIRTY: (232, 112, 20),
    WRITEBACK: (246, 201, 55),
    EVICTED: (188, 164, 208),
    UNKNOWN: (160, 160, 160),
}
"""Colours for white paper."""

_SHADES = {True: "\u2591\u2592\u2593\u2588", False: ".-=#"}
_NOTHING = {True: "\u00b7", False: "_"}
_LEAST = 0.4
"""Strength of the colour that a little unwritten data gets: it is what one looks for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the picture: what was counted in so many bytes."""

    nbytes: int
    counts: Counts

    def shares(self) -> dict[str, float]:
        """How much of the cell is in each state, adding up to 1; empty if that is not known."""
        if self.counts.cached is None:
            return {}
        whole = max(self.nbytes, 1)
        dirty, writing = self.counts.dirty or 0, self.counts.writeback or 0
        # A page that is being written can have been made dirty again: count it once.
        clean = max(self.counts.cached - dirty - writing, 0)
        absent = max(self.nbytes - self.counts.cached, 0)
        gone = min(self.counts.evicted or 0, absent)
        found = {ABSENT: absent - gone, CLEAN: clean, DIRTY: dirty, WRITEBACK: writing}
        found[EVICTED] = gone
        return {state: amount / whole for state, amount in found.items() if amount}


@dataclass(frozen=True, slots=True)
class Geometry:
    """How blocks become cells, and cells rows.

    Attributes
    ----------
    columns, rows : int
    parts : int
        Cells per block; 1 where a cell holds several blocks.
    cells : int
        How many of the places in the rows are taken.
    """

    columns: int
    rows: int
    parts: int
    cells: int

    def first_block(self, row: int, blocks: int) -> int:
        """Number of the block that the first cell of a row belongs to."""
        cell = row * self.columns
        return cell // self.parts if self.parts > 1 else cell * blocks // max(self.cells, 1)


def arrange(blocks: int, nbytes: int, columns: int, rows: int, least: int = 64 << 10) -> Geometry:
    """Choose how fine the picture is.

    Parameters
    ----------
    blocks : int
    nbytes : int
        Of all blocks.
    columns, rows : int
        The room there is.
    least : int
        Bytes that a cell should stand for at least.

    Examples
    --------
    >>> arrange(128, 2 << 30, 90, 20)
    Geometry(columns=84, rows=19, parts=12, cells=1536)
    >>> arrange(10**6, 1 << 44, 90, 20)
    Geometry(columns=90, rows=20, parts=1, cells=1800)
    >>> arrange(3, 3000, 90, 20)
    Geometry(columns=3, rows=1, parts=1, cells=3)
    """
    room = columns * rows
    if not blocks:
        return Geometry(0, 0, 1, 0)
    if blocks >= room:
        return Geometry(columns, rows, 1, room)
    wanted = max(min(room // max(blocks, 1), nbytes // (least * max(blocks, 1))), 1)
    for parts in range(wanted, 0, -1):
        if parts <= columns:
            # Whole blocks in each row.
            width = min(columns // parts, blocks) * parts
            used = -(-blocks * parts // width)
        else:
            # Whole rows for each block.
            lines = -(-parts // columns)
            width = -(-parts // lines)
            if width * lines != parts:
                continue
            used = lines * blocks
        if used <= rows:
            return Geometry(width, used, parts, blocks * parts)
    return Geometry(columns, -(-blocks // columns), 1, blocks)


def mix(cell: Cell, colours: dict[str, Colour]) -> Colour:
    """Colour a cell: the more of it is cached, the stronger; with unwritten data, in its colour.

    Orange over blue would be a grey that says neither: what is unwritten takes the whole cell.

    Examples
    --------
    >>> black, blue, red = (0, 0, 0), (0, 0, 200), (100, 0, 0)
    >>> mix(Cell(8192, Counts(4096, 0, 0, 0, 0)), {ABSENT: black, CLEAN: blue})
    (0, 0, 100)
    >>> mix(Cell(8192, Counts(8192, 4096, 0, 0, 0)), {ABSENT: black, CLEAN: blue, DIRTY: red})
    (70, 0, 0)
    """
    shares = cell.shares()
    if not shares:
        return colours[UNKNOWN if cell.nbytes else ABSENT]
    for state in (WRITEBACK, DIRTY):
        if state in shares:
            strength = _LEAST + (1 - _LEAST) * min(shares[state], 1)
            shares = {ABSENT: 1 - strength, state: strength}
            break
    red, green, blue = (
        round(sum(colours[state][part] * share for state, share in shares.items()))
        for part in range(3)
    )
    return min(red, 255), min(green, 255), min(blue, 255)


def character(cell: Cell, unicode: bool = True) -> str:
    """Say a cell in one character, for terminals without colours, pipes and files.

    Examples
    --------
    >>> [character(Cell(4, Counts(n, 0, 0, 0, 0)), unicode=False) for n in (0, 1, 3, 4)]
    ['_', '.', '=', '#']
    >>> character(Cell(8, Counts(4, 2, 0, 0, 0))), character(Cell(8, Counts()))
    ('D', '?')
    """
    shares = cell.shares()
    if not shares:
        return "?" if cell.nbytes else " "
    if WRITEBACK in shares:
        return "W"
    if DIRTY in shares:
        return "D"
    if CLEAN not in shares:
        return "e" if EVICTED in shares else _NOTHING[unicode]
    shades = _SHADES[unicode]
    return shades[-1] if shares[CLEAN] >= 1 else shades[int(shares[CLEAN] * (len(shades) - 1))]


def legend(unicode: bool = True) -> Sequence[tuple[str, str]]:
    """Characters and what they mean."""
    shades = _SHADES[unicode]
    return (
        (shades[-1], "cached"),
        (" ".join(reversed(shades[:-1])), "in part"),
        (_NOTHING[unicode], "not"),
        ("D", "with dirty pages"),
        ("W", "being written"),
        ("e", "evicted"),
        ("?", "unknown"),
    )
