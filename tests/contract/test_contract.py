"""Every public operation by every backend, held against NumPy; and that none is left out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import oocarray as oo

from .case import Case
from .everything import BACKENDS, CASES, refusal
from .public import NOT_OPERATIONS, public
from .refused import REFUSED
from .table import AGAIN, PAGE, page


def computed(value: Any) -> Any:
    """The same with arrays of ours computed."""
    if isinstance(value, oo.Array):
        return value.compute()
    if isinstance(value, (tuple, list)):
        return [computed(one) for one in value]
    return value


def check(found: Any, expected: Any, exact: bool) -> None:
    """Same values, dtype and shape."""
    if isinstance(expected, (tuple, list)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            check(one, other, exact)
        return
    assert np.shape(found) == np.shape(expected)
    mine, numpys = np.asarray(found), np.asarray(expected)
    assert mine.dtype == numpys.dtype
    if exact or numpys.dtype.kind not in "fc":
        np.testing.assert_array_equal(mine, numpys)
        return
    single = numpys.dtype in (np.float32, np.complex64)
    rtol, atol = (1e-5, 1e-6) if single else (1e-12, 1e-14)
    np.testing.assert_allclose(mine, numpys, rtol=rtol, atol=atol)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.operation}: {case.text}")
def test_each_backend_gives_numpys_answer(
    case: Case, backend: str, inputs: Mapping[str, Any]
) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if refusal(case, backend):
            with pytest.raises(NotImplementedError):
                computed(case.built(inputs))
            return
        check(computed(case.built(inputs)), case.expected(), case.exact)


def test_no_public_callable_is_left_out() -> None:
    """A new function needs a case, or a reason in NOT_OPERATIONS."""
    tested = {case.operation for case in CASES}
    assert sorted(public() - tested - set(NOT_OPERATIONS)) == []
    assert sorted(tested - public()) == []
    assert sorted(set(NOT_OPERATIONS) - public()) == []
    assert sorted(set(NOT_OPERATIONS) & tested) == []


def test_refusals_are_of_cases() -> None:
    known = {name for case in CASES for name in (case.operation, case.text)}
    assert sorted(key for key in REFUSED if key[0] not in known or key[1] not in BACKENDS) == []


def test_the_table_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), AGAIN
