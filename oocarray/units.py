"""Bytes and seconds as people write them, and back; nothing that knows what is measured."""

from __future__ import annotations

import re

__all__ = ["format_at_least", "format_bytes", "format_count", "format_seconds", "parse_bytes"]

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_FACTORS = {
    "": 1,
    "b": 1,
    **{unit[0].lower(): 1024**power for power, unit in enumerate(_BINARY) if power},
    **{unit.lower(): 1024**power for power, unit in enumerate(_BINARY) if power},
    **{unit[0].lower() + "b": 1000**power for power, unit in enumerate(_BINARY) if power},
}
_SPELLING = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z]*)\s*", re.IGNORECASE)


def format_bytes(count: float) -> str:
    """Write a number of bytes with the largest binary unit that keeps it at least 1.

    Examples
    --------
    >>> format_bytes(1536), format_bytes(17), format_bytes(256 << 20)
    ('1.5 KiB', '17 B', '256 MiB')
    """
    size = float(count)
    for unit in _BINARY:
        if abs(size) < 1024 or unit == _BINARY[-1]:
            break
        size /= 1024
    text = f"{size:.0f}" if unit == "B" else f"{size:.4g}" if abs(size) >= 999.5 else f"{size:.3g}"
    return f"{text} {unit}"


def format_at_least(count: int) -> str:
    """Write a number of bytes rounded up: what is read from it is at least as many.

    Examples
    --------
    >>> format_at_least(1537), format_at_least(48 << 20)
    ('1.51 KiB', '48 MiB')
    """
    more, step = count, 1
    while parse_bytes(text := format_bytes(more)) < count:
        # Ever larger steps, until one shows in the digits that are written.
        more, step = more + step, 2 * step
    return text


def parse_bytes(text: int | float | str) -> int:
    """Read a number of bytes: an int, or text such as ``"512 MiB"``, ``"4GB"``, ``"64k"``.

    KiB, MiB ... and single letters are powers of 1024; kB, MB, GB ... powers of 1000.

    Raises
    ------
    ValueError
        The text is not a number with a known unit, or it is not at least 0.

    Examples
    --------
    >>> parse_bytes("512 MiB"), parse_bytes("1GB"), parse_bytes(4096)
    (536870912, 1000000000, 4096)
    """
    if isinstance(text, bool) or not isinstance(text, (int, float, str)):
        raise ValueError(f"a size is an int or text such as '512 MiB', not {text!r}")
    if isinstance(text, str):
        match = _SPELLING.fullmatch(text)
        if match is None or match[2].lower() not in _FACTORS:
            raise ValueError(f"cannot read {text!r} as a size; write it as '512 MiB' or '4GB'")
        return int(float(match[1]) * _FACTORS[match[2].lower()])
    if not 0 <= text < float("inf"):
        raise ValueError(f"a size is at least 0 and finite, not {text!r}")
    return int(text)


def format_seconds(seconds: float) -> str:
    """Write a duration in the unit that suits it.

    Examples
    --------
    >>> format_seconds(0.0123), format_seconds(75), format_seconds(3.2)
    ('12 ms', '1 min 15 s', '3.2 s')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def format_count(count: int, noun: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> format_count(1, "block"), format_count(12000, "block")
    ('1 block', '12,000 blocks')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
