"""Einstein's sums, pair by pair from the left; seeks no better order."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import Array
from ..lazy.arith import cast
from ..lifting import apply, array_of, known, lifted
from ..operations.banding import Diagonal
from ..operations.products import Matmul, Tensordot
from ..operations.shaping import Reshape, Transpose

__all__ = ["einsum"]


def einsum(
    subscripts: Any, *operands: Any, dtype: Any = None, casting: str = "safe", optimize: Any = False
) -> Array:
    """Sums of products over axes that are named by letters; lazy.

    Parameters
    ----------
    subscripts : str
        As of `numpy.einsum`: ``"ij,jk->ik"``, with ``...`` for axes that are broadcast. Or all in
        NumPy's other form: array, list of ints, array, list, ..., and maybe the result's list.
    *operands : Array or array-like
        Repeated letters of one are its diagonal; an axis of extent 1 is broadcast.
    dtype : dtype-like, optional
        To calculate in; by default the one that NumPy finds for all of them.
    casting : str
        How they may be converted to `dtype`.
    optimize : object
        Ignored: pairs are multiplied from left to right.

    Returns
    -------
    Array
        With the axes that ``->`` names; by default all letters that appear once, in alphabetic
        order.

    Raises
    ------
    ValueError
        Subscripts that do not fit the arrays, or extents each other.
    TypeError
        `casting` does not allow the conversion.

    Examples
    --------
    >>> einsum("ij,j->i", [[1, 2], [3, 4]], [10, 1]).compute()
    array([12, 34])
    >>> einsum("ii", [[1, 2], [3, 4]]).compute()
    np.int64(5)
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _from_lists((subscripts, *operands))
    arrays = [array_of(one) for one in operands]
    for array in arrays:
        known(array, "einsum")
    inputs, output = _parsed(subscripts, [array.ndim for array in arrays])
    wanted = np.dtype(dtype or np.result_type(*(array.dtype for array in arrays)))
    terms = [
        _diagonals(Array(cast(array.node, wanted, casting)), labels)
        for array, labels in zip(arrays, inputs, strict=True)
    ]
    terms = _thinned(terms)
    array, labels = terms.pop(0)
    while terms:
        other = terms.pop(0)
        rest = {*output}.union(*(own for _, own in terms))
        array, labels = _pair((array, labels), other, rest)
    array, labels = _summed((array, labels), {*output})
    return _ordered(array, labels, output)


Term = tuple[Array, str]
"""An array, and a letter for each of its axes."""


def _from_lists(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Spell the form with lists of ints as a string."""
    pairs, letters = len(given) // 2, string.ascii_letters
    operands, lists = given[: 2 * pairs : 2], list(given[1 : 2 * pairs : 2])
    if not pairs:
        raise ValueError("einsum needs subscripts and at least one array")
    words = [
        "".join("..." if part is Ellipsis else letters[part] for part in own)
        for own in [*lists, *given[2 * pairs :]]
    ]
    arrow = len(given) % 2 == 1
    # NumPy takes ints in order of their letters: upper case follows lower case here as there.
    return ",".join(words[:pairs]) + (f"->{words[pairs]}" if arrow else ""), tuple(operands)


def _parsed(subscripts: str, ndims: Sequence[int]) -> tuple[list[str], str]:
    """Letters of each operand's axes and of the result's; ellipses become digits' letters."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    words = left.split(",")
    if len(words) != len(ndims):
        raise ValueError(f"einsum: {subscripts!r} names {len(words)} arrays, not {len(ndims)}")
    spare, longest, inputs = [chr(0x100 + k) for k in range(64)], 0, []
    for word, ndim in zip(words, ndims, strict=True):
        letters = word.replace("...", "", 1)
        count = ndim - len(letters)
        if not _plain(letters) or count < 0 or (count and letters == word):
            raise ValueError(f"einsum: {word!r} of {subscripts!r} does not fit {ndim} axes")
        longest = max(longest, count)
        # Broadcast axes are counted from the last.
        inputs.append(word.replace("...", "".join(spare[:count][::-1])))
    dots = "".join(spare[:longest][::-1])
    if not arrow:
        every = "".join(words).replace(".", "")
        return inputs, dots + "".join(sorted(one for one in {*every} if every.count(one) == 1))
    letters = right.replace("...", "", 1)
    output = right.replace("...", dots)
    if not _plain(letters) or len({*letters}) != len(letters):
        raise ValueError(f"einsum: the result's letters {right!r} are not letters, each once")
    if missing := {*output} - {*"".join(inputs)}:
        raise ValueError(f"einsum: {missing.pop()!r} of the result is in no array: {subscripts!r}")
    # As NumPy: axes that are broadcast must be in the result.
    if longest and "..." not in right:
        raise ValueError(f"einsum: {subscripts!r} leaves the broadcast axes out of the result")
    return inputs, output


def _plain(letters: str) -> bool:
    return not {*letters} - {*string.ascii_letters}


def _diagonals(array: Array, labels: str) -> Term:
    """Take the diagonal of axes with the same letter."""
    for letter in sorted({*labels}):
        while labels.count(letter) > 1:
            first = labels.index(letter)
            second = labels.index(letter, first + 1)
            if array.shape[first] != array.shape[second]:
                raise ValueError(
                    f"einsum: axes {letter!r} of one array have {array.shape[first]} and "
                    f"{array.shape[second]} elements"
                )
            array = apply(Diagonal(0, first, second), array)
            labels = labels[:first] + labels[first + 1 : second] + labels[second + 1 :] + letter
    return array, labels


def _thinned(terms: list[Term]) -> list[Term]:
    """Drop axes of extent 1 that are broadcast; what is left agrees."""
    sizes: dict[str, int] = {}
    for array, labels in terms:
        for letter, size in zip(labels, array.shape, strict=True):
            if sizes.setdefault(letter, size) == 1:
                sizes[letter] = size
            elif size not in (1, sizes[letter]):
                raise ValueError(
                    f"einsum: axes {letter!r} have {sizes[letter]} and {size} elements"
                )
    found = []
    for array, labels in terms:
        kept = [k for k, letter in enumerate(labels) if array.shape[k] == sizes[letter]]
        if len(kept) < len(labels):
            array = apply(Transpose(tuple(kept)), array)
        found.append((array, "".join(labels[k] for k in kept)))
    return found


def _pair(one: Term, other: Term, rest: set[str]) -> Term:
    """Multiply two arrays, and sum over letters that nobody needs further."""
    a, mine = _summed(one, rest | {*other[1]})
    b, theirs = _summed(other, rest | {*one[1]})
    shared = [letter for letter in mine if letter in theirs]
    batch = "".join(letter for letter in shared if letter in rest)
    gone = "".join(letter for letter in shared if letter not in rest)
    left = "".join(letter for letter in mine if letter not in shared)
    right = "".join(letter for letter in theirs if letter not in shared)
    if gone and not batch:
        axes = [tuple(labels.index(letter) for letter in gone) for labels in (mine, theirs)]
        return apply(Tensordot(axes[0], axes[1]), a, b), left + right
    if gone and left and right:
        sizes = {**dict(zip(mine, a.shape, strict=True)), **dict(zip(theirs, b.shape, strict=True))}
        stack, terms, rows, columns = (
            [sizes[letter] for letter in letters] for letters in (batch, gone, left, right)
        )
        a = _reshaped(_ordered(a, mine, batch + left + gone), [*stack, *_joint(rows, terms)])
        b = _reshaped(_ordered(b, theirs, batch + gone + right), [*stack, *_joint(terms, columns)])
        found = apply(Matmul(), a, b)
        return _reshaped(found, [*stack, *rows, *columns]), batch + left + right
    labels = batch + left + right + gone
    spread = [_spread(x, own, labels) for x, own in ((a, mine), (b, theirs))]
    return _summed((lifted(np.multiply, spread), labels), rest)


def _summed(term: Term, kept: set[str]) -> Term:
    array, labels = term
    axes = tuple(axis for axis, letter in enumerate(labels) if letter not in kept)
    if not axes:
        return term
    found = array.any(axes) if array.dtype == bool else array.sum(axes, dtype=array.dtype)
    return found, "".join(letter for letter in labels if letter in kept)


def _joint(rows: Sequence[int], columns: Sequence[int]) -> tuple[int, int]:
    return math.prod(rows), math.prod(columns)


def _reshaped(array: Array, shape: Sequence[int]) -> Array:
    return array if array.shape == tuple(shape) else apply(Reshape(tuple(shape)), array)


def _ordered(array: Array, labels: str, wanted: str) -> Array:
    if labels == wanted:
        return array
    return apply(Transpose(tuple(labels.index(letter) for letter in wanted)), array)


def _spread(array: Array, labels: str, wanted: str) -> Array:
    """Axes in the wanted order, with one of extent 1 for each letter that is missing."""
    if labels == wanted:
        return array
    axes = tuple(labels.index(letter) if letter in labels else None for letter in wanted)
    return apply(Transpose(axes), array)
