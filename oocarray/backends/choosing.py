"""Hands what is to be made to the backend that was asked for; it makes nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..lazy.graph import Root
from ..plan import Options
from ..storage.draft import Unpublished

__all__ = ["evaluate"]

Array = np.ndarray[Any, Any]


def evaluate(
    roots: Sequence[Root], options: Options, drafts: Sequence[Unpublished] = ()
) -> list[Array]:
    """Make all roots by ``options.backend``; return the results of those without a target.

    Parameters
    ----------
    roots : sequence of Root
    options : Options
    drafts : sequence of Unpublished
        New files that are targets: published when all is done, discarded otherwise.

    Raises
    ------
    NotImplementedError
        A comparison backend cannot do it; the message says why.
    ImportError
        The library that it needs is not installed.
    """
    if options.backend == "mapped":
        from . import mapped

        return _apart(mapped.evaluate(roots, options, drafts))
    if options.backend == "dask":
        from .dasked.evaluate import evaluate as chosen
    else:
        from .zarred.evaluate import evaluate as chosen
    return _apart(chosen(roots, options, drafts))


def _apart(results: list[Array]) -> list[Array]:
    """The same; what was asked for twice is made once, and each has an array of its own."""
    seen: set[int] = set()
    for number, array in enumerate(results):
        if id(array) in seen:
            results[number] = array.copy(order="K")
        seen.add(id(array))
    return results
