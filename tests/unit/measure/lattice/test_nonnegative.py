"""Against scipy's own solver, and where that one gives up."""

import numpy as np
import pytest
from scipy import optimize

from erfscope.measure.lattice.nonnegative import non_negative


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    return rng.random((12, 300)), rng.standard_normal(300) + 0.5


def test_equals_scipys_on_the_columns_themselves(problem):
    columns, data = problem
    left, found = non_negative(columns, data)
    expected, norm = optimize.nnls(columns.T, data)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert left == pytest.approx(norm**2)


def test_another_solver_takes_over(problem, monkeypatch):
    def give_up(*_, **__):
        raise RuntimeError("Maximum number of iterations reached.")

    _, expected = non_negative(*problem)
    monkeypatch.setattr(optimize, "nnls", give_up)
    np.testing.assert_allclose(non_negative(*problem)[1], expected, atol=1e-6)


def test_columns_of_nothing_are_no_failure():
    left, found = non_negative(np.zeros((3, 5)), np.ones(5))
    assert left == pytest.approx(5)
    assert not found.any()
