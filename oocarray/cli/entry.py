"""The command ``oocarray``: reads arguments, hands them on, says in one line what went wrong."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import __version__
from ..runtime.interrupts import Terminated, terminate
from . import cache, compare, completion, convert, demo, info, map, residency, stat, tune
from .output import complain, sentence
from .words import Formatter, Usage

__all__ = ["COMMANDS", "main", "make_parser"]

COMMANDS = (
    info.add,
    convert.add,
    map.add,
    compare.add,
    stat.add,
    residency.add,
    cache.add_warm,
    cache.add_evict,
    tune.add,
    demo.add,
    completion.add,
)
"""Each adds one command to the parser and returns its own parser."""
_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM

_EPILOG = """\
exit codes:
  0    done
  1    an error: one line on standard error says which
  2    the arguments are wrong
  130  Ctrl-C
  143  SIGTERM

Each command has its own help: oocarray COMMAND --help. Results go to standard output, errors and
progress to standard error. A shell completes commands, options and files after
  source <(oocarray completion bash)
"""


class _Parser(argparse.ArgumentParser):
    """Argparse with errors of one line, whole option names, and values such as -1,100."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # A script that abbreviates breaks when an option is added.
        super().__init__(*arguments, **{"allow_abbrev": False, **options})
        self._negative_number_matcher = re.compile(r"-(\.?\d|:|inf\b)")

    def error(self, message: str) -> NoReturn:
        complain(f"{message} ({self.prog} --help tells more)")
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the command's name; default: those of this process.

    Returns
    -------
    int
        0 when all went well, 1 after an error, 130 after Ctrl-C, 143 after SIGTERM. Wrong usage
        ends the process with 2.
    """
    _let_any_name_be_printed()
    parser = make_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit:
        _cannot_print()  # help that nobody reads to its end is no error
        raise
    if arguments.command is None:
        parser.print_help()
        return int(_cannot_print())
    before = None
    with contextlib.suppress(ValueError):  # not in the main thread
        # Whoever asks this process to end wants its temporary files gone too. A run takes this
        # handler over, to end between two messages.
        before = signal.signal(signal.SIGTERM, terminate)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return _run(arguments)
    except Terminated:
        return _TERMINATED
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _run(arguments: argparse.Namespace) -> int:
    try:
        code: int | None = arguments.run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print("oocarray: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except Usage as error:
        arguments.parser.error(str(error))
    except BrokenPipeError:
        _print_nowhere()  # nobody reads on, nor wants to hear of it
        return 1
    except Exception as error:
        _cannot_print()
        if arguments.debug:
            raise
        complain(sentence(error))
        return 1
    return code or 0


def _cannot_print() -> bool:
    """Whether standard output fails; then keep the interpreter from failing over it at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _print_nowhere()
        return True
    return False


def _print_nowhere() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _let_any_name_be_printed() -> None:
    """A file's name may be no text, and a terminal may lack a character: neither is an error."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if unicode else "replace")  # type: ignore[union-attr]


def _warn(message: Warning | str, *details: Any, **more: Any) -> None:
    complain(str(message), "warning")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog="oocarray",
        description="NumPy arrays as large as your disk, worked on where they lie.",
        epilog=_EPILOG,
        formatter_class=Formatter,
    )
    parser.add_argument("--version", action="version", version=f"oocarray {__version__}")
    debug = "show the whole traceback of an error"
    parser.add_argument("--debug", action="store_true", help=debug)
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    for add in COMMANDS:
        command = add(commands)
        # Without a default of its own, it leaves alone what stood before the command.
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=debug)
        command.set_defaults(parser=command)
    return parser
