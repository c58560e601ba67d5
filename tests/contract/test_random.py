"""Random expressions by the backends to compare with; equal to NumPy's to the bit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from test_judged_by_numpy import check, programs

from .everything import BACKENDS


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "mapped"])
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
@given(program=programs())
def test_random_expressions(program: Any, backend: str) -> None:
    check(*program, "serial", backend=backend)
