"""All cases, and what backends are to do with each."""

from __future__ import annotations

from . import (
    cases_awkward,
    cases_elementwise,
    cases_linear,
    cases_making,
    cases_reductions,
    cases_searching,
    cases_shapes,
)
from .case import Case
from .refused import REFUSED

BACKENDS = ("mapped", "dask", "zarr")
CASES: list[Case] = list(
    dict.fromkeys(
        [
            *cases_elementwise.CASES,
            *cases_reductions.CASES,
            *cases_shapes.CASES,
            *cases_linear.CASES,
            *cases_searching.CASES,
            *cases_making.CASES,
            *cases_awkward.CASES,
        ]
    )
)


def refusal(case: Case, backend: str) -> str | None:
    """Why a backend refuses a case, or None."""
    return REFUSED.get((case.text, backend), REFUSED.get((case.operation, backend)))
