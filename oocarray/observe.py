"""Observers of a run: who shows progress; they are told of events and change nothing."""

from __future__ import annotations

from collections.abc import Callable

from .plan import Event

__all__ = ["default_observers"]


def default_observers(progress: bool | None) -> list[Callable[[Event], None]]:
    """The observers of a run for which the caller asked for progress, or did not, or left it open."""
    return []
