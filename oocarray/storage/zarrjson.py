"""JSON documents of files that nobody vouches for, within bounds; never guesses what was meant.

A document is refused by its size before it is read, and by its depth and its number of values
before it is parsed: Python's parser would spend a stack frame on each bracket, and sixty bytes
of memory on each two of the file.
"""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from oocarray.errors import FormatError, TruncatedFileError
from oocarray.storage.filekey import FileKey
from oocarray.storage.files import open_regular
from oocarray.units import format_bytes

__all__ = [
    "MAX_DOCUMENT",
    "list_at",
    "object_at",
    "only_keys",
    "parse_json",
    "read_document",
    "short",
    "wholes_at",
]

MAX_DOCUMENT = 16 << 20  # bytes; metadata of some ten thousand arrays, consolidated
_MAX_DEPTH = 64
_MAX_VALUES = 2_000_000
_MAX_WHOLE = (1 << 63) - 1

# What each byte outside of strings does to the depth, and whether a value may come after it.
_DEPTH = np.zeros(256, np.int8)
_DEPTH[[ord(sign) for sign in "[{"]] = 1
_DEPTH[[ord(sign) for sign in "]}"]] = -1
_BEFORE_VALUE = np.zeros(256, np.bool_)
_BEFORE_VALUE[[ord(sign) for sign in ",:[{"]] = True
_PIECE = 1 << 20  # bytes looked at together


def read_document(path: str, most: int = MAX_DOCUMENT) -> tuple[FileKey, bytes]:
    """Return a small file's bytes, and which file it was.

    Raises
    ------
    FormatError
        It has no byte, or more than `most`; then none was read.
    TruncatedFileError, NotRegularFileError, OSError
    """
    fd = open_regular(path)
    try:
        key = FileKey.of(fd, path)
        if key.size > most:
            raise FormatError(
                f"{key.path} has {format_bytes(key.size)} ({key.size}), but metadata may have at "
                f"most {format_bytes(most)} ({most})"
            )
        document = os.pread(fd, key.size, 0)
    finally:
        os.close(fd)
    if len(document) < key.size:
        raise TruncatedFileError(
            f"{key.path} had {key.size} bytes when opened and was cut to {len(document)}"
        )
    if not document:
        raise FormatError(f"{key.path} is empty: it has 0 bytes, but must hold a JSON document")
    return key.with_header(document), document


def parse_json(document: bytes, what: str) -> Any:
    """Return the value of a JSON document.

    Bare ``NaN`` and ``Infinity`` are taken for floats: zarr-python writes such attributes.

    Parameters
    ----------
    document : bytes
    what : str
        Name of the file, for the messages.

    Raises
    ------
    FormatError
        Not UTF-8, not JSON, a key given twice, more than 64 brackets inside one another, or
        more than two million values.

    Examples
    --------
    >>> parse_json(b'{"shape": [3, 4]}', "zarr.json")
    {'shape': [3, 4]}
    >>> parse_json(b'{"shape": [3], "shape": [4]}', "zarr.json")
    Traceback (most recent call last):
    ...
    oocarray.errors.FormatError: zarr.json has the key 'shape' twice in one object
    """
    _check_bounds(document, what)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise FormatError(f"{what} has the key {short(twice)} twice in one object")
        return found

    try:
        return json.loads(document.decode("utf-8"), object_pairs_hook=once)
    except FormatError:
        raise
    except UnicodeDecodeError as error:
        raise FormatError(f"{what} is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{what} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except (ValueError, RecursionError) as error:  # a number of over 4300 digits
        raise FormatError(f"{what} is not JSON that can be read: {str(error)[:100]}") from None


def _check_bounds(document: bytes, what: str) -> None:
    # Without escapes each quote begins or ends a string.  Where a backslash is outside of one the
    # parser stops, so that a wrong count beyond it does no harm.
    bare = document.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in document else document
    text = np.frombuffer(bare, np.uint8)
    values = quotes = depth = deepest = 0
    for first in range(0, len(text), _PIECE):
        piece = text[first : first + _PIECE]
        passed = np.cumsum(piece == ord('"'), dtype=np.int64) + quotes
        quotes = int(passed[-1])
        outside = piece[passed % 2 == 0]
        if len(outside) == 0:
            continue
        values += int(np.count_nonzero(_BEFORE_VALUE[outside]))
        depths = np.cumsum(_DEPTH[outside], dtype=np.int64) + depth
        deepest, depth = max(deepest, int(depths.max())), int(depths[-1])
    if deepest > _MAX_DEPTH:
        raise FormatError(
            f"{what} has {deepest} brackets inside one another, but at most {_MAX_DEPTH} are read"
        )
    if values > _MAX_VALUES:
        raise FormatError(f"{what} has {values} values, but at most {_MAX_VALUES} are read")


def short(value: Any) -> str:
    """What is quoted of a value in a message: never much."""
    return reprlib.repr(value)


def object_at(value: Any, what: str) -> dict[str, Any]:
    """Return the value if it is a JSON object.

    Raises
    ------
    FormatError
    """
    if not isinstance(value, dict):
        raise FormatError(f"{what} is {short(value)}, not an object")
    return value


def list_at(value: Any, what: str) -> list[Any]:
    """Return the value if it is a JSON array.

    Raises
    ------
    FormatError
    """
    if not isinstance(value, list):
        raise FormatError(f"{what} is {short(value)}, not a list")
    return value


def wholes_at(value: Any, what: str, least: int = 0) -> tuple[int, ...]:
    """Return the value if it is a list of ints, each from `least` to 2**63 - 1.

    Raises
    ------
    FormatError
        Also for ``true`` and ``4.0``, which are no ints in JSON.
    """
    given = list_at(value, what)
    for place, number in enumerate(given):
        if type(number) is not int:
            raise FormatError(f"{what}[{place}] is {short(number)}, not an int")
        if not least <= number <= _MAX_WHOLE:
            raise FormatError(f"{what}[{place}] is {short(number)}, not in {least} ... 2**63 - 1")
    return tuple(given)


def only_keys(found: dict[str, Any], known: Iterable[str], what: str) -> None:
    """Refuse an object with other keys: what they ask for would not be done.

    Raises
    ------
    FormatError
    """
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise FormatError(f"{what} has the field {short(unknown[0])}, which is not known here")
