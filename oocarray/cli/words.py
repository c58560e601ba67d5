"""Arguments as users write them, turned into numbers; it adds no command."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..units import parse_bytes

__all__ = ["count", "size"]


def size(text: str) -> int:
    """A number of bytes, such as 512MiB."""
    return _positive(parse_bytes, text)


def count(text: str) -> int:
    """A whole number above 0."""
    return _positive(int, text)


def _positive(read: Callable[[str], int], text: str) -> int:
    try:
        value = read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value
