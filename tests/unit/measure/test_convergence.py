"""Errors of maps against slow derivations and known truths; when checks are due, and when they suffice."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from simulated_maps import Blob, clipped_sums, star_variance

from erfscope.measure.jackknife_means import jackknife_means
from erfscope.measure.sampling_error import (
    arm_error,
    check,
    has_converged,
    images_needed,
    map_error,
    next_check,
    width_of_detail,
)
from erfscope.measure.star import measure_star
from erfscope.records.convergence import Convergence, ErrorCheck
from erfscope.records.flags import Flag
from erfscope.records.star import Ring, StarMeasurement

FWHM = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian's σ
SIZE, CENTER = (161, 161), (80.0, 80.0)
SEEN = ErrorCheck(100, 0.02, 0.01, "star", 3, 20.0, 200.0, 1.0)


def gaussian(size, sigma, floor=0.0):
    y, x = (np.arange(side) - side // 2 for side in size)
    return np.exp(-0.5 * np.add.outer(y**2, x**2) / sigma**2) + floor


def smooth(image, sigma):
    """The mean under a Gaussian of what lies in the image, at every pixel."""
    options = {"mode": "constant", "truncate": 8}
    return ndimage.gaussian_filter(image, sigma, **options) / ndimage.gaussian_filter(
        np.ones_like(image), sigma, **options
    )


def error(sums, fwhm, sizes=None):
    images = 16 if sizes is None else sum(sizes)
    return map_error(jackknife_means(sums.sum(0), images, sums, sizes), fwhm)


@pytest.mark.parametrize("sigma", [0.8, 3.0, 11.0])
def test_the_error_of_equal_groups_is_that_of_their_mean(sigma):
    sums = clipped_sums(gaussian((60, 90), 12.0, 0.01), images=16)
    groups = np.array([smooth(group, sigma) for group in sums])
    expected = (groups.std(0, ddof=1) / 4).sum() / groups.mean(0).sum()
    # Places half a σ apart stand for all pixels: the spread of so few groups is rough.
    assert error(sums, FWHM * sigma) == pytest.approx(expected, rel=0.02 if sigma > 2 else 1e-9)


def test_the_error_of_counts_is_what_poisson_says():
    sigma, images, rng = 4.0, 16 * 4, np.random.default_rng(0)
    rate = 3 * gaussian((128, 128), 20.0)
    sums = rng.poisson(rate * images / 16, (16, 128, 128)).astype(float)
    # A Gaussian's mean over independent pixels of variance λ has the variance of one 1/√2 as wide over 4πσ².
    variance = ndimage.gaussian_filter(rate, sigma / np.sqrt(2)) / (4 * np.pi * sigma**2)
    expected = np.sqrt(variance / images).sum() / rate.sum()
    # Known to 18 % at a place with 15 degrees of freedom, in some hundred places that are independent; the
    # mean of a standard deviation from 16 is 1.7 % too small.
    assert error(sums, FWHM * sigma, [4] * 16) == pytest.approx(0.983 * expected, rel=3 * 0.18 / 10)


def test_what_all_pixels_share_is_not_smoothed_away():
    masses = np.random.default_rng(0).lognormal(0, 0.5, 16)
    sums = masses[:, None, None] * gaussian((64, 64), 9.0)
    expected = masses.std(ddof=1) / 4 / masses.mean()
    for fwhm in (1.0, 10.0, 60.0):
        assert error(sums, fwhm) == pytest.approx(expected, rel=1e-9)


def test_equal_images_have_no_error_in_groups_of_any_size():
    sizes = [1, 2, 1, 3, 1, 1, 2, 1, 0, 1]
    sums = np.array([size * gaussian((65, 65), 6.0) for size in sizes])
    assert error(sums, 5.0, sizes) == pytest.approx(0, abs=1e-12)


def test_groups_count_by_their_images():
    sums = clipped_sums(gaussian((64, 64), 9.0), images=320)
    merged = np.array([sums[:8].sum(0), *sums[8:]])
    told, equal = error(merged, 5.0, [160, *[20] * 8]), error(merged, 5.0, [1] * 9)
    # An error from 9 uneven groups scatters by a quarter in one place, by less over a map of many.
    assert told == pytest.approx(error(sums, 5.0, [20] * 16), rel=0.2)
    assert equal > 3 * told


def test_no_error_from_too_little():
    sums = np.zeros((16, 32, 32))
    sums[:7] = gaussian((32, 32), 5.0)
    assert error(sums, 5.0) is None
    sums[7] = sums[0]
    assert error(sums, 5.0) is not None
    assert error(np.zeros((16, 32, 32)), 5.0, [1] * 16) is None


def test_the_width_of_detail():
    def width(image):
        return width_of_detail(jackknife_means(image, 1))

    assert width(gaussian((257, 300), 3.0)) == pytest.approx(3.0 * FWHM)  # one blob: its own
    assert width(gaussian((257, 300), 60.0)) == pytest.approx(257 / 64 * FWHM)
    assert width(np.zeros((128, 128))) == pytest.approx(2 * FWHM)
    assert width(np.eye(16)[:1] * np.ones((16, 1))) == 1.0


def test_the_worst_ring_counts():
    rings = (Ring(50.0, 0.5), Ring(100.0, 0.6), Ring(150.0, None))
    assert arm_error(StarMeasurement("star", CENTER, rings=rings)) == 0.01
    assert arm_error(StarMeasurement("star", CENTER, rings=rings[2:])) is None
    assert arm_error(StarMeasurement("none", CENTER)) is None


@pytest.fixture(scope="module")
def star_sums():
    return clipped_sums(star_variance(SIZE, CENTER, (24, 48), Blob(4.0)), images=32)


def test_a_star_tells_its_scale_and_its_arms(star_sums):
    erf, sizes = star_sums.sum(0), [2] * 16
    star = measure_star(erf, CENTER, star_sums)
    found = check(erf, CENTER, star_sums, sizes, 32)
    assert found == check(erf, CENTER, star_sums, sizes, 32, star=star)
    assert (found.images, found.pattern, found.rings) == (32, "star", 2)
    assert found.smoothing_px == star.blob_fwhm_px
    assert found.map_error == error(star_sums, star.blob_fwhm_px, sizes)
    assert found.arm_error == max(ring.stderr_px / ring.distance_px for ring in star.rings)
    assert found.center_to_center_px == star.center_to_center_px
    json.dumps(found.summary(), allow_nan=False)
    tiny = check(erf * 1e-12, CENTER, star_sums * 1e-12, sizes, 32)
    assert tiny.map_error == pytest.approx(found.map_error)


def test_without_a_star_the_scale_is_that_of_detail():
    sums = clipped_sums(gaussian((128, 128), 12.0), images=16)
    found = check(sums.sum(0), (64.0, 64.0), sums, None, 16)
    assert (found.pattern, found.rings, found.arm_error, found.center_to_center_px) == ("none", 0, None, None)
    assert found.smoothing_px == pytest.approx(2 * FWHM)


def test_checks_are_due_at_the_same_numbers_from_wherever_one_comes():
    due = [next_check(0)]
    while due[-1] < 100_000:
        due.append(next_check(due[-1]))
    assert due[:6] == [32, 40, 50, 62, 78, 98]
    later = iter(due)
    count = next(later)
    for images in range(due[-2]):
        count = count if count > images else next(later)
        assert next_check(images) == count
    steps = np.array(due[1:]) / due[:-1]
    assert steps.min() > 1.2
    assert steps.max() < 1.3


@pytest.mark.parametrize(
    ("checks", "until", "enough"),
    [
        ([SEEN, SEEN], 0.02, True),
        ([SEEN, SEEN], 0.0199, False),
        ([SEEN], 0.02, False),
        ([], 0.02, False),
        ([replace(SEEN, map_error=0.5), SEEN, SEEN], 0.02, True),
        ([SEEN, replace(SEEN, map_error=0.03)], 0.02, False),
        ([replace(SEEN, map_error=0.03), SEEN], 0.02, False),
        ([SEEN, replace(SEEN, arm_error=0.03)], 0.02, False),
        ([SEEN, replace(SEEN, arm_error=None)], 0.02, False),
        ([replace(SEEN, map_error=None)] * 2, 0.02, False),
        ([replace(SEEN, pattern="none", rings=0, arm_error=None)] * 2, 0.02, True),
        ([SEEN, replace(SEEN, rings=2)], 0.02, False),
        ([replace(SEEN, pattern="none", rings=0, arm_error=None), SEEN], 0.02, False),
    ],
)
def test_two_checks_in_a_row_must_agree(checks, until, enough):
    assert has_converged(checks, until) is enough


def test_images_needed():
    assert images_needed(100, 0.02, 0.01) == 400
    assert images_needed(100, 0.02, 0.03) == 45


def test_the_error_falls_with_the_root_of_the_images():
    sums = clipped_sums(gaussian((64, 64), 9.0), images=1024, groups=64)
    few, many = error(sums[:16], 5.0), error(sums.reshape(16, 4, 64, 64).sum(1), 5.0)
    # Each is known to a few percent: 15 degrees of freedom in some dozens of independent places.
    assert few / many == pytest.approx(2, rel=0.15)


def test_records_survive_json():
    checks = (SEEN, replace(SEEN, pattern="none", arm_error=None))
    record = Convergence(0.01, checks, True, (Flag("stopped_by_error", "mind this"),))
    assert Convergence.from_summary(json.loads(json.dumps(record.summary(), allow_nan=False))) == record
