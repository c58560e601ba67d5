"""The options of commands that run something over an array; it runs nothing itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .words import count, size

__all__ = ["format_named", "run_options", "run_words"]

_RUN = ("memory", "workers", "scheduler", "durability")


def run_options(command: argparse.ArgumentParser) -> Callable[..., Any]:
    """Add the options of a run; return what adds further ones to them."""
    option = command.add_argument_group("the run").add_argument
    option("--memory", type=size, help="bytes it may hold (default: half of what is free)")
    option("--workers", type=count, metavar="N", help="default: the processors")
    option("--scheduler", choices=("processes", "threads", "serial"), help="default: processes")
    option("--durability", choices=("none", "process", "machine"), help="default: none")
    return option


def run_words(arguments: argparse.Namespace, *more: str) -> dict[str, Any]:
    """What `run_options` read, and `more` of its kind, where it was given."""
    found = {name: getattr(arguments, name) for name in (*_RUN, *more)}
    return {name: value for name, value in found.items() if value is not None}


def format_named(out: str, format: str | None) -> str:
    """Decide the format of an output by its ending, or by ``--format``.

    Raises
    ------
    ValueError
        Neither says it.
    """
    from ..creating import format_of

    try:
        return format_of(out, format)
    except ValueError:
        raise ValueError(
            f"cannot tell a format from {out!r}: name it .npy or .zarr, or give --format"
        ) from None
