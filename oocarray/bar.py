"""A progress bar on a terminal, drawn by rich; it does not decide when."""

from __future__ import annotations

import sys
import threading
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .meter import Meter, countdown, gigabytes, speed
from .plan import Ended
from .units import format_bytes, format_seconds

__all__ = ["Bar"]

_on_screen = threading.Lock()
_WIDE = 100
"""Columns of a terminal that has room for what may be held beside what is."""
_GAP = 2
_SHORTEST, _LONGEST = 6, 40


class Bar:
    """One line that is drawn over and over.

    Parameters
    ----------
    keep : bool
        Whether the line stays, with its last state, when it is closed.
    """

    def __init__(self, keep: bool) -> None:
        console = Console(stderr=True)
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=not keep,
            # What a pipe or file is to receive must not be printed above the bar instead.
            redirect_stdout=bool(sys.stdout is not None and sys.stdout.isatty()),
            redirect_stderr=True,
        )
        self._width = console.width
        self._keep = keep
        self._open = False

    @classmethod
    def alone(cls, keep: bool) -> Any:
        """Return a bar, or, while another run's bar is on the screen, something that draws none."""
        return cls(keep) if _on_screen.acquire(blocking=False) else _Nothing()

    def draw(self, meter: Meter, now: float) -> None:
        """Show the present state."""
        self._live.update(self._row(meter, now, None))
        if not self._open:
            self._open = True
            self._live.start()
        self._live.refresh()

    def close(self, meter: Meter, now: float, ended: Ended) -> None:
        """Show the last state if it is to stay, and give the line back whatever happens."""
        try:
            if self._open and self._keep:
                self._live.update(self._row(meter, now, ended), refresh=True)
        finally:
            try:
                self._live.stop()
            finally:
                _on_screen.release()

    def _row(self, meter: Meter, now: float, ended: Ended | None) -> Table:
        words = [Text(f"{meter.share:4.0%}"), Text(speed(meter.rate(now)), style="green")]
        if ended is None:
            left = meter.remaining(now)
            words.append(Text("" if left is None else countdown(left)))
        else:
            words.append(Text(f"{gigabytes(meter.nbytes)} in {format_seconds(ended.seconds)}"))
        if meter.held is not None:
            held = meter.held.now if ended is None else meter.held.peak
            text = f"{'holds' if ended is None else 'held'} {format_bytes(held)}"
            if self._width >= _WIDE:
                text += f" of {meter.limit}"
            words.append(Text(text, style="red" if meter.over else "dim"))
        name = Text(meter.name, style="bold")
        name.truncate(max(self._width // 4, 8), overflow="ellipsis")
        room = self._width - 1 - len(name) - sum(len(word) + _GAP for word in words) - _GAP
        while room < _SHORTEST and len(words) > 1:
            room += len(words.pop()) + _GAP
        failed = ended is not None and not ended.ok
        style = "red" if failed else "green" if ended else "cyan"
        row = Table.grid(padding=(0, _GAP), expand=False)
        for _ in range(2 + len(words)):
            row.add_column(no_wrap=True)
        row.add_row(name, self._bar(meter.share, min(room, _LONGEST), style), *words)
        return row

    def _bar(self, share: float, width: int, style: str) -> ProgressBar:
        return ProgressBar(
            total=1.0, completed=share, width=width, complete_style=style, finished_style=style
        )


class _Nothing:
    def draw(self, meter: Meter, now: float) -> None:
        pass

    def close(self, meter: Meter, now: float, ended: Ended) -> None:
        pass
