"""Notes what floating point units complain of while operations are made; it warns of nothing.

NumPy would warn for each piece, in whatever process it is made.  The caller is told once per run.
"""

from __future__ import annotations

import sys
import warnings
from types import TracebackType
from typing import Any

import numpy as np

__all__ = ["Flags", "tell"]

_KINDS = ("divide", "over", "under", "invalid")


_BITS = {"divide": 1, "over": 2, "under": 4, "invalid": 8}
_WORDS = {"divide by zero": "divide", "overflow": "over", "underflow": "under"}


def tell(words: str, stacklevel: int) -> None:
    """Tell the caller of a complaint, as its own ``np.errstate`` asks for."""
    complaint = words.partition(" encountered in ")[0]
    kind = _WORDS.get(complaint, "invalid")
    mode = np.geterr()[kind]  # type: ignore[literal-required]
    call: Any = np.geterrcall()
    if mode == "call" and call is not None:
        call(complaint, _BITS[kind])
    elif mode == "log" and call is not None:
        call.write(f"Warning: {words}\n")
    elif mode == "print":
        sys.stderr.write(f"Warning: {words}\n")
    elif mode != "ignore":
        warnings.warn(words, RuntimeWarning, stacklevel=stacklevel + 1)


class Flags:
    """As a context: what NumPy would warn of is noted instead; what it raises is raised.

    Attributes
    ----------
    found : set of str
        NumPy's words: ``"divide by zero encountered in divide"``.
    names : list of str
        The operations that are being made, the innermost last.

    Examples
    --------
    >>> flags = Flags()
    >>> flags.names.append("divide")
    >>> with flags:
    ...     _ = np.ones(1) / 0
    >>> flags.found
    {'divide by zero encountered in divide'}
    """

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.names: list[str] = []
        self._within: list[Any] = []

    def __enter__(self) -> None:
        now = np.geterr()
        # All that is to be told: the caller is told once, in the way asked for.
        told = ("warn", "print", "call", "log")
        modes: Any = {kind: "call" for kind in _KINDS if now[kind] in told}  # type: ignore[literal-required]
        context = np.errstate(call=self._note, **modes)
        context.__enter__()
        self._within.append(context)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._within.pop().__exit__(kind, error, trace)
        if kind is not None:
            self.names.clear()

    def _note(self, complaint: str, flag: int) -> None:
        name = self.names[-1] if self.names else "an operation"
        self.found.add(f"{complaint} encountered in {name}")
