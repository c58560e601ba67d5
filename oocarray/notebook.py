"""A progress bar in the output of a notebook's cell, as plain HTML; it takes no widgets.

Whoever shows no HTML (a console of the same kernel) gets the line of text that stands beside it.
"""

from __future__ import annotations

import html
import secrets
from typing import Any

from .meter import Meter
from .plan import Ended

__all__ = ["NotebookBar"]

_STYLE = "font-family: monospace; white-space: pre-wrap"


class NotebookBar:
    """One piece of a cell's output that is replaced over and over.

    Parameters
    ----------
    keep : bool
        Whether its last state stays when it is closed.
    """

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._name = f"oocarray-{secrets.token_hex(8)}"
        self._open = False

    def draw(self, meter: Meter, now: float) -> None:
        """Show the present state."""
        self._show(meter.line(now), meter.share)

    def close(self, meter: Meter, now: float, ended: Ended) -> None:
        """Show the last state if it is to stay, else nothing any more."""
        if self._keep:
            self._show(meter.line(now, ended), meter.share)
        elif self._open:
            self._send({"text/plain": "", "text/html": ""})

    def _show(self, line: str, share: float) -> None:
        bar = f'<progress value="{share:.4f}" max="1"></progress>'
        text = f'<div style="{_STYLE}">{bar} {html.escape(line)}</div>'
        self._send({"text/plain": line, "text/html": text})

    def _send(self, data: dict[str, str]) -> None:
        # IPython is there: this runs in a shell of its own.
        from IPython import display

        send: Any = display.update_display if self._open else display.display
        self._open = True
        send(data, raw=True, display_id=self._name)
