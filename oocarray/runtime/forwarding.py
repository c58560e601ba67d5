"""Brings what block functions print, log and warn of to the caller; it filters nothing itself.

On the worker's side stand-ins for streams, a log handler and a taker of warnings; on the
caller's side `Repeater`, which says it all again where the caller's own settings decide.
"""

from __future__ import annotations

import codecs
import io
import logging
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, Literal

from .job import Logged, Said, Warned

__all__ = ["Forwarder", "LogForwarder", "Repeater", "least_level"]

Block = tuple[int, ...] | None

_LONGEST = 64 << 10
"""A line without an end is sent in pieces of so many characters."""


class _Bytes(io.BufferedIOBase):
    """Stands for ``sys.stdout.buffer``."""

    def __init__(self, text: Forwarder) -> None:
        self._text = text
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._text.write(self._decode(raw))
        return len(raw)


class Forwarder(io.TextIOBase):
    """Stands for stdout or stderr in a worker: sends each line, with the block it is about.

    Parameters
    ----------
    stream : {"stdout", "stderr"}
    say : callable
        Takes a `Said`.
    block : callable
        Returns the coordinates of the present block, or None.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(
        self,
        stream: Literal["stdout", "stderr"],
        say: Callable[[Said], None],
        block: Callable[[], Block],
    ) -> None:
        self._stream, self._say, self._block = stream, say, block
        self._rest = ""
        self._lock = threading.RLock()
        self.buffer = _Bytes(self)

    def writable(self) -> bool:
        return True

    def reconfigure(self, **_: Any) -> None:
        """Accepted and not followed: lines are sent as they end."""

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            if len(self._rest) > _LONGEST:
                lines, self._rest = [*lines, self._rest], ""
            for line in lines:
                self._say(Said(self._stream, line, self._block()))
        return len(text)

    def finish(self) -> None:
        """Send what was written without a newline."""
        with self._lock:
            if self._rest:
                self.write("\n")


class LogForwarder(logging.Handler):
    """Sends log records to the caller's loggers of the same names."""

    def __init__(self, say: Callable[[Logged], None], block: Callable[[], Block]) -> None:
        super().__init__()
        self._say, self._block = say, block

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.exc_info:
                text += "\n" + logging.Formatter().formatException(record.exc_info)
            self._say(
                Logged(
                    record.name,
                    record.levelno,
                    text,
                    record.pathname,
                    record.lineno,
                    self._block(),
                )
            )
        except Exception:
            self.handleError(record)


def least_level() -> int:
    """Level below which no logger of this process would take a record."""
    root = logging.getLogger()
    levels = [root.level]
    levels += [
        logger.level
        for logger in list(root.manager.loggerDict.values())
        if isinstance(logger, logging.Logger) and logger.level
    ]
    return max(min(levels), 1)


class Repeater:
    """Says again, in the caller's process, what workers have said; the same warning once."""

    def __init__(self) -> None:
        self._warned: set[Any] = set()

    def __call__(self, message: Any) -> bool:
        """Repeat a message; tell whether it was one to be repeated."""
        where = f"block {message.block}" if getattr(message, "block", None) is not None else ""
        if isinstance(message, Said):
            stream = sys.stdout if message.stream == "stdout" else sys.stderr
            if stream is not None:
                stream.write(f"[{where}] {message.text}\n" if where else f"{message.text}\n")
        elif isinstance(message, Warned):
            self._warn(message, where)
        elif isinstance(message, Logged):
            logger = logging.getLogger(message.name)
            if logger.isEnabledFor(message.level):
                text = message.text + (f" ({where})" if where else "")
                made = (message.name, message.level, message.path, message.line)
                logger.handle(logger.makeRecord(*made, text, (), None))
        else:
            return False
        return True

    def _warn(self, warned: Warned, where: str) -> None:
        # Each worker gives it once, and each names another block.
        key = warned.message, warned.category, warned.filename, warned.lineno
        if key in self._warned:
            return
        self._warned.add(key)
        text = warned.message + (f" ({where})" if where else "")
        warnings.warn_explicit(text, warned.category, warned.filename, warned.lineno)
