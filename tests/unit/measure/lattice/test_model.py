"""Derivatives against differences, cells against sums, folds against means."""

import numpy as np
import pytest

from erfscope.measure.lattice.cells import cut_cells
from erfscope.measure.lattice.lattice_fit import LatticeFitter, Region
from erfscope.measure.lattice.ring_search import fold


@pytest.fixture
def squares():
    rng = np.random.default_rng(0)
    return rng.random((61, 83)) ** 2


def test_cells_are_means_over_areas(squares):
    cells = cut_cells(
        squares, (30.0, 41.0), half=40.0, count=8
    )  # cells of 5×5 px, five whole ones from 28 on
    row, column = (int(np.flatnonzero(axis == 0)[0]) for axis in (cells.y, cells.x))
    assert cells.values[row, column] == pytest.approx(squares[28:33, 39:44].mean(), rel=1e-12)
    assert cells.values[row, column + 1] == pytest.approx(squares[28:33, 44:49].mean(), rel=1e-12)


def test_cells_between_pixels(squares):
    cells = cut_cells(squares, (30.25, 41.0), half=4.0, count=4)
    row, column = (int(np.flatnonzero(axis == 0)[0]) for axis in (cells.y, cells.x))
    expected = 0.75 * squares[30, 41] + 0.25 * squares[31, 41]
    assert cells.values[row, column] == pytest.approx(expected, rel=1e-12)


def test_folding_averages_the_eight_symmetries(squares):
    count = 20
    cells = cut_cells(squares, (30.0, 41.0), half=20.0, count=count)
    means, noise, times = fold(cells, cells.values, count)
    at = dict(zip(zip(*np.tril_indices(count + 1), strict=True), range(len(means)), strict=True))
    signs = [(7, 3), (3, 7), (-7, 3), (3, -7), (7, -3), (-3, 7), (-7, -3), (-3, -7)]
    values = [squares[30 + dy, 41 + dx] for dy, dx in signs]
    assert means[at[7, 3]] == pytest.approx(np.mean(values), rel=1e-12)
    assert noise[at[7, 3]] == pytest.approx(np.var(values, ddof=1) / 8, rel=1e-9)
    assert times[at[7, 3]] == 8
    values = [squares[30 + dy, 41 + dx] for dy, dx in ((5, 0), (-5, 0), (0, 5), (0, -5))]
    assert means[at[5, 0]] == pytest.approx(np.mean(values), rel=1e-12)
    assert noise[at[5, 0]] == pytest.approx(np.var(values, ddof=1) / 4, rel=1e-9)
    assert (times[at[5, 0]], times[at[5, 5]], times[at[0, 0]]) == (4, 4, 1)


@pytest.mark.parametrize("pattern", ["star", "grid"])
def test_derivatives_are_those_of_differences(squares, pattern):
    region = Region(squares, (30.0, 41.0), 24.0, 4.0)
    model = LatticeFitter(region, np.array([9.0, 24.0]), 4.0, pattern).model
    at = model.layout
    rng = np.random.default_rng(1)
    point = np.zeros(at.total)
    point[:2], point[at.distances], point[at.sigma], point[at.border_absorption] = (
        (0.3, -0.7),
        (9.2, 23.5),
        np.log(4.1),
        0.4,
    )
    point[at.heights.start :] = rng.uniform(0.2, 1.0, at.total - at.heights.start)
    slopes = model.jacobian(point)
    for index in range(at.total):
        step = np.zeros(at.total)
        step[index] = 1e-5
        difference = (model(point + step) - model(point - step)) / 2e-5
        # A cell's width enters the derivative by σ in the same way; 1e-7 is what differences can resolve.
        np.testing.assert_allclose(slopes[index], difference, atol=1e-7, err_msg=str(index))


def test_blobs_outside_the_image_are_left_out(squares):
    region = Region(squares, (30.0, 41.0), 35.0, 4.0)
    places = LatticeFitter(region, np.array([35.0]), 4.0).places
    assert sorted(zip(places.row, places.column, strict=True)) == [(0, -1), (0, 0), (0, 1)]
