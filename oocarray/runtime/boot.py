"""The server of worker processes, a program of its own, as the coordinator knows it; no pool."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from ..errors import ProtocolError
from .channel import Channel, pair, readable
from .sameness import THREADS

__all__ = ["ServerLink"]

# Our own package, whatever else of its name the other process would find on its path.
_BOOT = """
import sys
from importlib import util
sys.path += [folder for folder in {path!r} if folder not in sys.path]
spec = util.spec_from_file_location("oocarray", {package!r})
sys.modules["oocarray"] = package = util.module_from_spec(spec)
spec.loader.exec_module(package)
from oocarray.runtime.server import main
main({fd})
"""


class ServerLink:
    """A server that was just started.

    Attributes
    ----------
    pid : int
    control : Channel
    there : bool
        Whether it can still be spoken to.
    """

    def __init__(self) -> None:
        self.control, self._process = _boot()
        self.pid = self._process.pid
        self.there = True

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def ask(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Send a message; one that has ended cannot be asked, which `hear` finds out."""
        with contextlib.suppress(OSError):
            self.control.send(message, fds)

    def hear(self, timeout: float) -> tuple[Any, list[int]] | None:
        """Return a message and the descriptors that came along; None if there is none."""
        if not self.there or not readable(self.control, timeout):
            return None
        try:
            return self.control.receive()
        except (EOFError, OSError, ProtocolError):
            # It died, and its workers with it: their channels close too.
            self.there = False
            return None

    def end(self) -> int:
        """Close the channel, wait for the end of the process, return its return code."""
        self.control.close()
        self.there = False
        try:
            return self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def abandon(self) -> None:
        """In a forked child: it is not this process's child, there is nothing to wait for."""
        self.control.close()
        self._process.returncode = 0


def _boot() -> tuple[Channel, subprocess.Popen[bytes]]:
    mine, theirs = pair()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    package = os.path.join(root, "__init__.py")
    path = [folder for folder in sys.path if isinstance(folder, str)]
    text = _BOOT.format(package=package, path=path, fd=theirs.fileno())
    # Warnings while it starts are not the caller's; those of block functions are forwarded.
    flags = ["-P", "-Wignore", *(["-E"] if sys.flags.ignore_environment else [])]
    flags += ["-s"] * sys.flags.no_user_site + ["-O"] * sys.flags.optimize
    flags += ["-S"] * sys.flags.no_site
    try:
        server = subprocess.Popen(
            [sys.executable, *flags, "-c", text],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={**os.environ, **THREADS},
        )
    except BaseException:
        mine.close()
        raise
    finally:
        theirs.close()
    return mine, server
