"""What a tape is written from: how arrays lie, what is made, who takes it; it writes none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Given", "Made", "Names", "Spec", "Taken", "collapsed"]


@dataclass(frozen=True, slots=True)
class Given:
    """An input: the bytes of an element, and how it is read."""

    item: int
    point: bool = False
    """One element for all."""
    copied: bool = False
    """Not aligned, so that it must be copied first."""


@dataclass(frozen=True, slots=True)
class Made:
    """Something that is made, and where it goes."""

    item: int
    stored: int = -1
    """Number of the array, counted after the inputs, that it is stored to."""
    same: int = -1
    """Number of the input that it is equal to."""
    staged: bool = False
    """It must lie in a buffer, even if nothing reduces it: the place overlaps an input."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A reduction: what it takes, and how."""

    made: int
    k: int
    """Reduced rows side by side in its lanes."""
    unit: int
    """So many rows of lanes must be given to it together."""
    size: int
    """Bytes of the numbers of one result."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything a tape depends on.

    Steps are in bytes: for each array (inputs, then what is stored to) one for each axis.
    """

    leaves: int
    leaf_steps: tuple[int, ...]
    extents: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    """Of the axes A (kept), R (reduced) and B (kept): B the fastest."""
    steps: tuple[
        tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]
    ]
    """For A, R and B, for each of their axes, the step of each array."""
    given: tuple[Given, ...]
    made: tuple[Made, ...]
    taken: tuple[Taken, ...] = ()
    gathered: int = 0
    """So many results are reduced side by side, because each is made of few elements."""
    width: int = 0
    """So many of B at once; 0: all."""


@dataclass(eq=False)
class Names:
    """Numbers of the bases that the rows of a tape are counted from; see `oocarray.fusing.tape`."""

    spec: Spec
    arrays: int = field(init=False)
    buffers: int = field(init=False)
    copies: int = field(init=False)
    states: int = field(init=False)
    results: int = field(init=False)
    turned: int = field(init=False)
    fill: int = field(init=False)
    move: int = field(init=False)
    many: int = field(init=False)
    rules: int = field(init=False)
    pointers: int = field(init=False)
    status: int = field(init=False)

    def __post_init__(self) -> None:
        spec = self.spec
        count = len(spec.taken)
        self.arrays = 1
        self.buffers = 1 + len(spec.leaf_steps)
        self.copies = self.buffers + len(spec.made)
        self.states = self.copies + len(spec.given)
        self.results = self.states + count
        self.turned = self.results + count
        self.fill = self.turned + count
        self.move = self.fill + 1
        self.many = self.move + 1
        self.rules = self.many + 1
        self.pointers = self.rules + count
        self.status = self.pointers + 1


def collapsed(
    extents: Sequence[int], steps: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Join neighbouring axes that are one axis for every array; leave out those of one element.

    Examples
    --------
    >>> collapsed((3, 1, 4), [(32, 0), (9, 9), (8, 0)])
    ((12,), ((8, 0),))
    """
    sizes: list[int] = []
    found: list[tuple[int, ...]] = []
    for extent, step in zip(extents, steps, strict=True):
        if extent == 1:
            continue
        if sizes and all(a == b * extent for a, b in zip(found[-1], step, strict=True)):
            sizes[-1] *= extent
            found[-1] = tuple(step)
        else:
            sizes.append(extent)
            found.append(tuple(step))
    return tuple(sizes), tuple(found)
