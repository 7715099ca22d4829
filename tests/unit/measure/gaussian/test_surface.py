"""The Gaussian's derivatives against differences, its bins against sums over pixels."""

import numpy as np
import pytest

from erfscope.measure.gaussian.bins import Bins, bins_around, even_bins
from erfscope.measure.gaussian.least_squares import Fitter, Protocol
from erfscope.measure.gaussian.surface import Gaussian, derivatives, surface

TILTED = Gaussian(20.3, 31.6, 9.0, 5.0, 0.4, 3.0, 0.5)
Y, X = np.arange(50.0)[:, None], np.arange(40.0)[None, :]


@pytest.mark.parametrize("broadening", [0.0, 2.0])
@pytest.mark.parametrize("theta", [0.0, 0.4, -1.2])
@pytest.mark.parametrize("name", Gaussian._fields)
def test_derivatives_are_differences(name, theta, broadening):
    gaussian = TILTED._replace(theta=theta)
    step = 1e-5
    up, down = (gaussian._replace(**{name: getattr(gaussian, name) + sign * step}) for sign in (1, -1))
    differences = (surface(up, Y, X, broadening) - surface(down, Y, X, broadening)) / (2 * step)
    exact = derivatives(gaussian, Y, X, broadening)[Gaussian._fields.index(name)]
    # Central differences: h² of the third derivative, some 1e-10, and rounding of 1e-16/h.
    np.testing.assert_allclose(exact, differences, atol=1e-8)


@pytest.mark.parametrize("with_offset", [True, False])
@pytest.mark.parametrize("shape", ["symmetric", "axis-aligned", "rotated"])
def test_the_fits_derivatives_are_those_of_its_residual(shape, with_offset):
    """Also where σy follows σx, and with what the bins weigh."""
    bins = bins_around((50, 40), [TILTED._replace(sigma_x=16, sigma_y=12)])
    means = bins.means(surface(TILTED, Y, X))
    fitter = Fitter(bins, Protocol(shape, with_offset))
    parameters = fitter._parameters(TILTED)
    parameters.update_constraints()
    free = [name for name in Gaussian._fields if parameters[name].vary]
    exact = fitter._derivatives(parameters, means)
    assert exact.shape == (Protocol(shape, with_offset).parameters, means.size)
    step = 1e-6
    for name, column in zip(free, exact, strict=True):
        residuals = []
        for sign in (1, -1):
            changed = parameters.copy()
            changed[name].value += sign * step
            changed.update_constraints()
            residuals.append(fitter._residual(changed, means))
        # Rounding of 1e-15/h dominates.
        np.testing.assert_allclose(column, (residuals[0] - residuals[1]) / (2 * step), atol=1e-7)


@pytest.mark.parametrize("degrees", [0, 30])
def test_a_broadened_gaussian_is_the_mean_over_blocks(degrees):
    gaussian = Gaussian(60.3, 50.6, 16.0, 14.0, np.radians(degrees), 3.0, 0.5)
    y, x = np.arange(100.0)[:, None], np.arange(120.0)[None, :]
    bins = even_bins((100, 120), 4)
    averaged = bins.means(surface(gaussian, y, x))
    model = surface(gaussian, bins.y, bins.x, bins.broadening)
    # What is left is the box's fourth cumulant, b⁴/120 against 24 σ⁴: 2e-5 of the amplitude.
    np.testing.assert_allclose(model, averaged, atol=1e-4)
    assert np.abs(surface(gaussian, bins.y, bins.x) - averaged).max() > 5e-3  # not so without broadening


@pytest.mark.parametrize("shape", [(64, 800), (769, 769), (16, 16), (1, 40)])
def test_bins_hold_every_pixel_once(shape):
    data = np.random.default_rng(0).random(shape)
    for place in (0.0, 15.3, -80.0, 2000.0):
        bins = bins_around(shape, [TILTED._replace(x0=place, sigma_x=20)])
        assert bins.pixels.sum() == data.size
        assert (bins.means(data) * bins.pixels).sum() == pytest.approx(data.sum())
        assert (bins.y * bins.pixels).mean() / bins.pixels.mean() == pytest.approx((shape[0] - 1) / 2)
        assert bins.shape == shape


def test_bins_know_whom_they_suit():
    bins = bins_around((200, 200), [Gaussian(100, 100, 12, 16, 0, 1, 0)])
    assert bins.suit(Gaussian(102, 99, 13, 15, 0.1, 1, 0))
    assert not bins.suit(Gaussian(100, 100, 4, 16, 0, 1, 0))  # too coarse
    assert not bins.suit(Gaussian(100, 100, 12, 30, 0, 1, 0))  # reaches beyond the window
    assert not bins.suit(Gaussian(160, 100, 12, 16, 0, 1, 0))
    assert Bins(np.array([0, 200]), np.array([0, 200]), 1).shape == (200, 200)


@pytest.mark.parametrize("theta", [0.0, 0.7, 2.0, -5.0])
@pytest.mark.parametrize("near", [0.0, 0.75])
def test_turning_the_axes_leaves_the_surface(theta, near):
    gaussian = TILTED._replace(theta=theta)
    turned = gaussian.turned_near(near)
    assert -np.pi / 4 < turned.theta - near <= np.pi / 4
    np.testing.assert_allclose(surface(turned, Y, X), surface(gaussian, Y, X), atol=1e-12)  # rounding
