"""Finds the caller's code on the stack, for a warning to name; it warns of nothing itself."""

from __future__ import annotations

import os
import sys

__all__ = ["outside"]

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def outside() -> int:
    """How many calls below a warning's own the caller's code is: its `stacklevel`."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    return level
