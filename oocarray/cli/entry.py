"""The command ``oocarray``: reads arguments, hands them on, says in one line what went wrong."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..errors import OocarrayError
from . import demo

__all__ = ["main"]

COMMANDS = (demo.add,)
"""Each adds one command to the parser and returns its own parser."""
_INTERRUPTED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the command's name; default: those of this process.

    Returns
    -------
    int
        0 when all went well, 1 after an error, 130 after Ctrl-C. Wrong usage ends the process
        with 2.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    before = None
    with contextlib.suppress(ValueError):  # not in the main thread
        # Whoever asks this process to end wants its temporary files gone too.
        before = signal.signal(signal.SIGTERM, _end)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("oocarray: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on: keep the interpreter from complaining when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OocarrayError, OSError, ValueError, AssertionError, MemoryError) as error:
        if arguments.debug:
            raise
        print(f"oocarray: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
    return 0


def _end(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oocarray", description="NumPy arrays as large as your disk, worked on where they lie."
    )
    parser.add_argument("--version", action="version", version=f"oocarray {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    for add in COMMANDS:
        command = add(commands)
        command.add_argument(
            "--debug", action="store_true", help="show the whole traceback of an error"
        )
    return parser
