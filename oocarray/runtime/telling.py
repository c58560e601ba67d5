"""What a run tells observers of its events, and the caller at its end; it decides nothing."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

from ..grid import Coords
from ..plan import Event, Stage
from .failures import failed_blocks
from .flags import tell
from .limits import Limits
from .outside import outside
from .stagerun import Observer

__all__ = ["Telling"]

log = logging.getLogger("oocarray")


class Telling:
    """Base of who runs the stages of a plan.

    Parameters
    ----------
    limits : Limits
    observers : sequence of callable
        Told of what happens; what they raise is logged, not raised.
    """

    def __init__(self, limits: Limits, observers: Sequence[Observer]) -> None:
        self.limits, self.observers = limits, observers
        self.flags: set[str] = set()
        """What NumPy would have warned of in operations."""
        self.missing: list[tuple[Stage, dict[Coords, str]]] = []
        """Blocks that the run went on without, and what their function raised."""

    def tell(self, event: Event) -> None:
        for observer in self.observers:
            try:
                observer(event)
            except Exception:
                log.exception("an observer failed on %s", type(event).__name__)

    def tell_rest(self) -> None:
        """At the end, warn once for each stage of what is missing, and once as NumPy would have."""
        what = "left out" if self.limits.on_error == "skip" else "filled"
        for stage, found in self.missing:
            errors = dict(sorted(found.items()))
            warning = failed_blocks(errors, stage.grid.size, stage.label, what)
            log.warning("%s", warning)
            for block, text in errors.items():
                log.debug("block %s of %r: %s", block, stage.label, text)
            warnings.warn(warning, stacklevel=outside())
        for words in sorted(self.flags):
            tell(words, outside())
