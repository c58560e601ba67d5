"""The command ``oocarray demo``: its arguments; what it shows is in `oocarray.demo`."""

from __future__ import annotations

import argparse
from typing import Any

from .words import count, new_command, size

__all__ = ["add"]


def add(commands: Any) -> argparse.ArgumentParser:
    """Add ``oocarray demo``."""
    command = new_command(
        commands,
        "demo",
        _run,
        help="show what oocarray does, on data made for the purpose",
        description="Make a satellite scene larger than the memory it may use, calibrate it, "
        "compute its vegetation index and statistics, change it in place, and check it all "
        "against NumPy. The data is removed at the end; two pictures stay.",
        examples=("oocarray demo", "oocarray demo --size 8GiB --memory 512MiB --keep"),
    )
    option = command.add_argument
    option("--size", type=size, default="2GiB", help="size of the raw scene (default: %(default)s)")
    option(
        "--memory",
        type=size,
        default="256MiB",
        help="memory a run may hold (default: %(default)s)",
    )
    option("--workers", type=count, metavar="N", help="worker processes (default: the processors)")
    option(
        "--folder",
        default="oocarray-demo",
        metavar="FOLDER",
        help="where all is made (default: ./%(default)s)",
    )
    option("--keep", action="store_true", help="keep the data")
    return command


def _run(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from ..demo import Settings, run_demo

    settings = Settings(
        arguments.size, arguments.memory, arguments.workers, arguments.folder, arguments.keep
    )
    run_demo(settings, Console(highlight=False))
