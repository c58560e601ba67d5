"""All cases and targets, section by section; one module each, and nothing is run here."""

from __future__ import annotations

from . import budget, cache, engine, expressions, formats, fusion, overhead, starts
from .records import QUICK, Case, Contestant, Fresh, Settings, Target

__all__ = [
    "NAMES",
    "QUICK",
    "SECTIONS",
    "Case",
    "Contestant",
    "Fresh",
    "Settings",
    "Target",
    "make_cases",
    "make_targets",
]

_MODULES = (engine, expressions, fusion, formats, starts, budget, cache, overhead)
SECTIONS = {
    "engine": "The engine beside others",
    "expressions": "Expressions beside others",
    "fusion": "Fused expressions beside others",
    "formats": "Formats beside others",
    "starts": "Starting",
    "budget": "The same work in little memory",
    "cache": "The page cache",
    "overhead": "What a block costs",
}


def make_cases(settings: Settings) -> dict[str, Case | Fresh]:
    """All cases by name, in the order of the report."""
    found: list[Case | Fresh] = []
    for module in _MODULES:
        found += module.cases(settings)
    return {case.name: case for case in found}


def make_targets(settings: Settings) -> list[Target]:
    """The figures that are wanted, in the order of the report."""
    return [target for module in _MODULES for target in module.targets(settings)]


NAMES = tuple(make_cases(Settings()))
"""Of the cases, in the order of the report."""
