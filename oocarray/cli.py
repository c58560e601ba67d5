"""The command ``oocarray``: reads arguments, hands them on, says in one line what went wrong."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import __version__
from .errors import OocarrayError
from .units import parse_bytes

__all__ = ["main"]

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
    for add in (_add_demo,):
        command = add(commands)
        command.add_argument(
            "--debug", action="store_true", help="show the whole traceback of an error"
        )
    return parser


def _add_demo(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray demo``."""
    command: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="show what oocarray does, on data made for the purpose",
        description="Make a satellite scene larger than the memory it may use, calibrate it, "
        "compute its vegetation index and statistics, change it in place, and check it all "
        "against NumPy. The data is removed at the end; two pictures stay.",
    )
    add = command.add_argument
    add("--size", type=_bytes, default="2GiB", help="size of the raw scene (default: %(default)s)")
    add(
        "--memory",
        type=_bytes,
        default="256MiB",
        help="memory a run may hold (default: %(default)s)",
    )
    add("--workers", type=_count, metavar="N", help="worker processes (default: the processors)")
    add("--folder", default="oocarray-demo", help="where all is made (default: ./%(default)s)")
    add("--keep", action="store_true", help="keep the data")
    command.set_defaults(run=_demo)
    return command


def _demo(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from .demo import Settings, run_demo

    settings = Settings(
        arguments.size, arguments.memory, arguments.workers, arguments.folder, arguments.keep
    )
    run_demo(settings, Console(highlight=False))


def _bytes(text: str) -> int:
    return _positive(parse_bytes, text)


def _count(text: str) -> int:
    return _positive(int, text)


def _positive(read: Callable[[str], int], text: str) -> int:
    try:
        value = read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value
