"""Gaussians whose truth is known, and lmfit's own model as a second derivation."""

import json

import numpy as np
import pytest
from lmfit.models import Gaussian2dModel

from erfscope.errors import MapError
from erfscope.measure.gaussian.gaussian_fit import fit_gaussian, gaussian_residual
from erfscope.measure.gaussian.surface import Gaussian, surface

TRUTH = Gaussian(x0=100.3, y0=118.6, sigma_x=30.0, sigma_y=21.0, theta=0.0, amplitude=4.0, offset=0.5)


def image(size=(221, 230), images=100, seed=0, **changes):
    noise = np.random.default_rng(seed).gamma(images, 1 / images, size)
    return clean(size, **changes) * noise


def clean(size=(221, 230), **changes):
    y, x = np.arange(size[0])[:, None] * 1.0, np.arange(size[1])[None, :] * 1.0
    return surface(TRUTH._replace(**changes), y, x)


def numbers(fit):
    return {name: getattr(fit, name) for name in fit.stderr}


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


@pytest.mark.parametrize(("degrees", "expected"), [(50, -40), (90, 0), (-46, 44), (45, 45), (-45, 45)])
def test_sigma_x_is_the_one_nearest_to_x(degrees, expected):
    fit = fit_gaussian(clean(theta=np.radians(degrees)), (110, 115), "rotated")
    # At ±45° both axes are as near; a clean map's fit ends within rounding of it, on either side.
    is_turned = abs(fit.theta_deg - expected) > 1
    assert not is_turned or (abs(degrees) == 45 and fit.theta_deg == pytest.approx(-45, abs=1e-3))
    quarter_turns = round((degrees - fit.theta_deg) / 90)
    sigmas = (21, 30) if quarter_turns % 2 else (30, 21)
    # The bins' broadening is known to second order: a few thousandths of a px remain.
    assert (fit.sigma_x_px, fit.sigma_y_px) == pytest.approx(sigmas, abs=0.01)


@pytest.mark.parametrize(
    ("size", "truth"),
    {
        "spike in a large map": ((1024, 1024), {"x0": 700.3, "y0": 200.6, "sigma_x": 1.2, "sigma_y": 1.6}),
        "few px in a large map": ((769, 769), {"x0": 90.3, "y0": 600.6, "sigma_x": 5, "sigma_y": 7}),
        "wide": ((769, 800), {"x0": 390.25, "y0": 371.5, "sigma_x": 90, "sigma_y": 60}),
        "oblong map": ((512, 1024), {"x0": 500, "y0": 280, "sigma_x": 90, "sigma_y": 60}),
        "strip": ((64, 800), {"x0": 500, "y0": 40, "sigma_x": 90, "sigma_y": 20}),
        "near a border": ((221, 230), {"x0": 2.0}),
        "center outside": ((221, 230), {"x0": -40.0}),
        "sigmas above the map's size": ((64, 80), {"x0": 37.0, "y0": 30.0, "sigma_x": 120, "sigma_y": 90}),
        "tiny map": ((5, 6), {"x0": 2.2, "y0": 2.4, "sigma_x": 1.1, "sigma_y": 0.9}),
        "brightness of 1e-200": ((221, 230), {"amplitude": 4e-200, "offset": 5e-201}),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_guess_does_not_decide(size, truth):
    name, (shape, changes) = size, truth
    expected = TRUTH._replace(**changes)
    fit = fit_gaussian(clean(shape, **changes), (0, 0), "axis-aligned")
    # Without noise what remains is the bins' broadening beyond second order: 0.05 px, or 0.3 % of σ.
    assert (fit.x0_px, fit.y0_px) == pytest.approx((expected.x0, expected.y0), abs=0.05), name
    assert (fit.sigma_x_px, fit.sigma_y_px) == pytest.approx((expected.sigma_x, expected.sigma_y), rel=3e-3)
    assert fit.amplitude == pytest.approx(expected.amplitude, rel=0.01)


def test_heavy_tails_on_a_floor():
    y, x = np.indices((400, 400)) - 200.0
    tails = 2 * np.exp(-np.hypot(y, x) / 40) * np.random.default_rng(0).gamma(20, 1 / 20, y.shape)
    core = image((400, 400), x0=200, y0=200)
    fit = fit_gaussian(core + tails, (200, 200), "axis-aligned")
    # The tails are round and centered with the core, so they may widen the fit but not move it.
    assert (fit.x0_px, fit.y0_px) == pytest.approx((200, 200), abs=0.3)
    assert fit.study.sigma_x_px > fit.sigma_x_px > 25
    assert fit.r_squared > fit.study.r_squared


def test_large_maps_are_averaged_without_a_shift():
    data = image((769, 800), x0=390.25, y0=371.5, sigma_x=90, sigma_y=60)
    fit = fit_gaussian(data, (384, 400))
    # 10 % noise on some 17 000 px under the peak: standard errors of 0.06 px.
    assert (fit.x0_px, fit.y0_px) == pytest.approx((390.25, 371.5), abs=0.2)
    assert (fit.sigma_x_px, fit.sigma_y_px) == pytest.approx((90, 60), abs=0.3)


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_the_studys_protocol_is_lmfits_gaussian(offset):
    data = image(offset=offset)
    y, x = np.indices(data.shape).astype(float)
    model = Gaussian2dModel()
    sigmas = {"sigmax": {"value": 30, "min": 1}, "sigmay": {"value": 25, "min": 1}}
    guess = model.make_params(amplitude=20000, centerx=100, centery=115, **sigmas)
    best = model.fit(data.ravel(), guess, x=x.ravel(), y=y.ravel()).params
    study = fit_gaussian(data, (110, 115)).study
    names = {"x0_px": "centerx", "y0_px": "centery", "sigma_x_px": "sigmax", "sigma_y_px": "sigmay"}
    for name, theirs in names.items():
        value, stderr = best[theirs].value, best[theirs].stderr
        # At this σ the last fit sees every px within 5 σ: two fits of one model to the same numbers.
        assert getattr(study, name) == pytest.approx(value, abs=1e-3), name
        if offset == 0:  # over bins, hence with 0.5 % less variance, and noise that varies over the map
            assert study.stderr_fit[name] == pytest.approx(stderr, rel=0.3), name
    assert study.amplitude == pytest.approx(best["height"].value, rel=1e-3)
    assert (study.offset, study.stderr["offset"]) == (0, None)


def test_symmetric_has_one_sigma():
    fit = fit_gaussian(image(sigma_y=30.0), (110, 115), "symmetric")
    # Standard errors are near 0.03 px.
    assert fit.sigma_x_px == fit.sigma_y_px == pytest.approx(30, abs=0.3)
    assert fit.stderr["sigma_x_px"] == pytest.approx(fit.stderr["sigma_y_px"])
    assert (fit.theta_deg, fit.stderr["theta_deg"]) == (0, None)
    assert fit.asymmetry.widths_shape == "axis-aligned"


def test_without_an_offset():
    fit = fit_gaussian(image(offset=0.0), (110, 115), "axis-aligned", with_offset=False)
    assert numbers(fit) == numbers(fit.study)
    assert fit.offset == 0


def test_smoothing_takes_the_noise_out_of_r_squared():
    fit = fit_gaussian(image(images=1), (110, 115))
    assert fit.r_squared < 0.5 < 0.95 < fit.r_squared_smoothed
    assert not any("poor fit" in flag.message for flag in fit.flags)


def test_the_residual_map():
    data = image()
    fit = fit_gaussian(data, (110, 115), "rotated")
    residual = gaussian_residual(data, fit)
    # R² from its definition, at full resolution.
    assert 1 - residual.var() / data.var() == pytest.approx(fit.r_squared, abs=1e-4)
    peak = clean() - (data - residual)
    assert np.abs(peak).max() < 0.05  # standard error of the amplitude: 0.01


def test_units_follow_the_map():
    data = image()
    one, thousand = fit_gaussian(data, (110, 115)), fit_gaussian(1000 * data, (110, 115))
    for name in ("amplitude", "offset"):
        assert getattr(thousand, name) == pytest.approx(1000 * getattr(one, name), rel=1e-6)
        assert thousand.stderr[name] == pytest.approx(1000 * one.stderr[name], rel=1e-6)
    assert thousand.sigma_x_px == pytest.approx(one.sigma_x_px, rel=1e-6)


def flags_of(data, shape="axis-aligned"):
    fit = fit_gaussian(data, (48, 48), shape)
    assert json.dumps(fit.summary(), allow_nan=False)
    return " | ".join(map(str, fit.flags))


@pytest.mark.parametrize(
    ("words", "data"),
    [
        ("poor fit", np.random.default_rng(0).random((96, 96))),
        ("center lies outside", clean((96, 96), x0=110, y0=40)),
        ("a sigma exceeds the map", clean((64, 64), x0=30, y0=30, sigma_x=150, sigma_y=150)),
        ("single pixels stand out", np.eye(1, 4096, 2000).reshape(64, 64)),
        ("did not converge", np.pad(np.ones((2, 2)), 20)),
        ("replicate errors not available", clean()),
    ],
)
def test_fits_that_must_not_be_trusted_say_why(words, data):
    assert words in flags_of(data, "rotated")


def test_a_good_fit_is_only_told_off_for_its_errors():
    (flag,) = fit_gaussian(image(), (110, 115), "rotated").flags
    assert "replicate errors not available" in flag.message


DEGENERATE = {
    "constant": np.ones((64, 64)),
    "zeros": np.zeros((64, 64)),
    "half zeros": np.where(np.arange(64) < 32, 0.0, 1.0) * np.ones((48, 1)),
    "ramp": np.outer(np.arange(50.0), np.ones(60)),
    "board": np.indices((64, 64)).sum(0) % 2 * 1.0,
    "negative": -np.random.default_rng(0).random((40, 40)),
    "hole": 1 - np.eye(1, 1600, 800).reshape(40, 40),
    "4×4": np.random.default_rng(0).random((4, 4)),
    "row": np.random.default_rng(0).random((1, 40)),
    "column": np.random.default_rng(0).random((40, 1)),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_maps_without_a_gaussian_are_flagged(name):
    flags = flags_of(DEGENERATE[name], "auto")
    assert any(word in flags for word in ("poor fit", "exceeds", "outside", "did not converge")), flags


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["auto", "symmetric", "rotated"])
@pytest.mark.parametrize("name", DEGENERATE)
def test_replicates_of_maps_without_a_gaussian(name, shape):
    noise = np.random.default_rng(1).gamma(5, 1 / 5, (9, *DEGENERATE[name].shape))
    replicates = DEGENERATE[name] * noise
    fit = fit_gaussian(replicates.sum(0), (0, 0), shape, replicates.astype(np.float32))
    assert json.dumps(fit.summary(), allow_nan=False)
    assert fit.groups == (0 if name == "zeros" else 9)


def test_what_cannot_be_fitted():
    with pytest.raises(MapError, match="3×5 px are too few"):
        fit_gaussian(np.ones((3, 5)), (1, 2))
    with pytest.raises(MapError, match="expected auto, symmetric, axis-aligned, rotated"):
        fit_gaussian(image(), (0, 0), "round")
    with pytest.raises(MapError, match="aren't finite"):
        fit_gaussian(np.full((20, 20), np.nan), (0, 0))
    with pytest.raises(MapError, match="don't belong"):
        fit_gaussian(np.ones((20, 20)), (0, 0), replicates=np.ones((8, 20, 21)))
    with pytest.raises(MapError, match="3 group sizes for 8"):
        fit_gaussian(np.ones((20, 20)), (0, 0), replicates=np.ones((8, 20, 20)), images_per_group=[1, 2, 3])
