"""Gaussians whose truth is known, and lmfit's own model as a second derivation."""

import json

import numpy as np
import pytest
from lmfit.models import Gaussian2dModel

from erfscope.errors import MapError
from erfscope.measure.gaussian import fit_gaussian, gaussian

TRUTH = {
    "x0": 100.3,
    "y0": 118.6,
    "sigma_x": 30.0,
    "sigma_y": 21.0,
    "theta": 0.0,
    "amplitude": 4.0,
    "offset": 0.5,
}


def image(size=(221, 230), images=100, seed=0, **changes):
    y, x = np.indices(size).astype(float)
    noise = np.random.default_rng(seed).gamma(images, 1 / images, size)
    return gaussian(y, x, **{**TRUTH, **changes}) * noise


@pytest.mark.parametrize("degrees", [-40, 0, 20, 44])
@pytest.mark.parametrize("swap", [False, True])
def test_parameters_come_back(degrees, swap):
    sigmas = (21.0, 30.0) if swap else (30.0, 21.0)
    data = image(theta=np.radians(degrees), sigma_x=sigmas[0], sigma_y=sigmas[1])
    fit = fit_gaussian(data, (110, 115), "rotated")
    # 10 % noise on some thousand pixels under the peak: 0.1 px is several standard errors.
    assert (fit.x0_px, fit.y0_px) == pytest.approx((100.3, 118.6), abs=0.15)
    assert (fit.sigma_x_px, fit.sigma_y_px) == pytest.approx(sigmas, abs=0.3)
    assert fit.theta_deg == pytest.approx(degrees, abs=0.5)
    assert (fit.amplitude, fit.offset) == pytest.approx((4.0, 0.5), rel=0.02)
    assert fit.shift_from_projected_center == pytest.approx((8.6, -14.7), abs=0.15)
    assert fit.r_squared > 0.9
    for name, stderr in fit.stderr.items():
        assert stderr is not None, name
        assert stderr > 0, name


def test_large_maps_are_averaged_without_a_shift():
    data = image((769, 800), x0=390.25, y0=371.5, sigma_x=90, sigma_y=60)
    fit = fit_gaussian(data, (384, 400))
    assert (fit.x0_px, fit.y0_px) == pytest.approx((390.25, 371.5), abs=0.15)
    assert (fit.sigma_x_px, fit.sigma_y_px) == pytest.approx((90, 60), abs=0.3)


def test_the_studys_protocol_is_lmfits_gaussian():
    data = image(offset=0.2)
    y, x = np.indices(data.shape).astype(float)
    model = Gaussian2dModel()
    guess = model.make_params(
        amplitude=20000,
        centerx=100,
        centery=115,
        sigmax={"value": 30, "min": 1},
        sigmay={"value": 25, "min": 1},
    )
    best = model.fit(data.ravel(), guess, x=x.ravel(), y=y.ravel()).params
    study = fit_gaussian(data, (110, 115)).study
    # Two least-squares fits of one model end within their common tolerance.
    assert (study.x0_px, study.y0_px) == pytest.approx(
        (best["centerx"].value, best["centery"].value), abs=1e-3
    )
    assert (study.sigma_x_px, study.sigma_y_px) == pytest.approx(
        (best["sigmax"].value, best["sigmay"].value), rel=1e-4
    )
    assert study.offset == 0


def test_symmetric_has_one_sigma():
    fit = fit_gaussian(image(sigma_y=30.0), (110, 115), "symmetric")
    assert fit.sigma_x_px == fit.sigma_y_px == pytest.approx(30, abs=0.3)
    assert fit.theta_deg == 0


def test_flags_of_fits_that_must_not_be_trusted():
    y, x = np.indices((96, 96)).astype(float)
    rough = fit_gaussian(np.random.default_rng(0).random((96, 96)), (48, 48))
    assert any("poor fit" in flag for flag in rough.flags)
    outside = fit_gaussian(gaussian(y, x, **{**TRUTH, "x0": 110, "y0": 40}), (48, 48))
    assert any("center lies outside" in flag for flag in outside.flags)
    assert json.dumps(outside.summary(), allow_nan=False)


def test_maps_of_a_few_pixels():
    with pytest.raises(MapError, match="3×5 px are too few"):
        fit_gaussian(np.ones((3, 5)), (1, 2))
    assert fit_gaussian(np.random.default_rng(0).random((1, 40)), (0, 20)).flags


def test_unknown_shape():
    with pytest.raises(MapError, match="expected symmetric, axis-aligned, rotated"):
        fit_gaussian(image(), (0, 0), "round")
