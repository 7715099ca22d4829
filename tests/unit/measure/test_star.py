"""Stars whose truth is known."""

import numpy as np
import pytest

import erfscope
from erfscope.measure.star import DIRECTIONS, measure_star
from erfscope.records.star import Arm

SIZE = 385


def blobs(positions, sigma, size=SIZE, amplitude=1.0):
    y, x = np.indices((size, size), dtype=float)
    return sum(amplitude * np.exp(-((y - by) ** 2 + (x - bx) ** 2) / (2 * sigma**2)) for by, bx in positions)


def star(center, distances, sigma, size=SIZE):
    arms = [(center[0] + sy * d, center[1] + sx * d) for d in distances for sy, sx in DIRECTIONS.values()]
    return blobs([center, *arms], sigma, size)


def grid(center, step, sigma):
    steps = range(-2, 3)
    return blobs([(center[0] + i * step, center[1] + j * step) for i in steps for j in steps], sigma)


def noisy(image, images=200, seed=0):
    """Multiply by the noise of a mean over so many images of a clipped normal gradient."""
    rng = np.random.default_rng(seed)
    return image * rng.gamma(images / 4, 4 / images, image.shape)


@pytest.mark.parametrize("distances", [(48, 96, 144), (40, 100), (60, 130, 170)])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (-3.5, 2.25)])
def test_rings_and_center(distances, shift):
    center = (192 + shift[0], 192 + shift[1])
    result = measure_star(noisy(star(center, distances, sigma=9)), (192, 192))
    assert result.pattern == "star"
    # The noise moves a blob by far less than 0.2 px; the tails of its neighbors pull it by up to half.
    assert [ring.distance_px for ring in result.rings] == pytest.approx(distances, abs=0.5)
    assert result.center == pytest.approx(center, abs=0.3)
    assert result.center_to_center_px == pytest.approx(2 * distances[-1], abs=1.0)
    assert result.end_to_end_convention_px == result.center_to_center_px + 32
    assert result.blob_fwhm_px == pytest.approx(9 * 2.3548, rel=0.1)
    assert result.score == 1.0


def test_arms_stand_where_their_names_say():
    result = measure_star(star((192, 192), (50, 100), sigma=8), (192, 192))
    outer = {arm.direction: arm for arm in result.arms if arm.ring == 1}
    assert set(outer) == set(DIRECTIONS)
    north_east = outer["NE"]
    assert isinstance(north_east, Arm)
    assert (north_east.y_px, north_east.x_px) == pytest.approx((92, 292), abs=0.5)  # y down: north is up


def test_a_grid_is_no_star():
    result = measure_star(noisy(grid((192, 192), 48, sigma=9)), (192, 192))
    assert result.pattern == "grid"
    assert result.center_to_center_px == pytest.approx(4 * 48, abs=1.0)


def background(kind, rng):
    y, x = np.indices((SIZE, SIZE), dtype=float)
    smooth = np.exp(-((y - 192) ** 2 + (x - 192) ** 2) / (2 * 60**2))
    return {
        "gaussian": smooth,
        "stride grid": smooth * (1 + 0.5 * np.cos(2 * np.pi * y / 8) * np.cos(2 * np.pi * x / 8)),
        "patches": smooth * (1 + 0.8 * np.sign(np.sin(np.pi * y / 16) * np.sin(np.pi * x / 16))),
        "rough": np.exp(rng.normal(size=(SIZE, SIZE))),
        "flat": np.ones((SIZE, SIZE)),
        "point": np.where((y == 192) & (x == 192), 1.0, 0.0),
    }[kind]


@pytest.mark.parametrize("kind", ["gaussian", "stride grid", "patches", "rough", "flat", "point"])
def test_no_star_where_there_is_none(kind):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image = noisy(background(kind, rng), images=20, seed=seed)
        result = measure_star(image, (192, 192))
        assert (result.pattern, result.center_to_center_px, result.rings) == ("none", None, ())
        assert result.flags


@pytest.mark.slow
def test_sampling_error_is_that_of_other_images():
    truth = star((192, 192), (48, 96, 144), sigma=9)
    rng = np.random.default_rng(0)
    measured, stated = [], []
    for _ in range(30):
        groups = truth * rng.gamma(0.05, 1, (16, SIZE, SIZE))  # a few heavy-tailed images a group
        result = measure_star(groups.sum(0), (192, 192), groups.astype(np.float32))
        measured.append(result.center_to_center_px)
        stated.append(result.center_to_center_stderr_px)
    # The scatter of 30 repetitions is itself known to 13 %; three times that.
    assert np.median(stated) == pytest.approx(np.std(measured, ddof=1), rel=0.4)


def test_no_error_bar_from_fewer_than_eight_groups():
    image = star((192, 192), (48, 96), sigma=9)
    groups = np.zeros((16, SIZE, SIZE), np.float32)
    groups[:7] = image / 7
    assert measure_star(image, (192, 192), groups).center_to_center_stderr_px is None
    groups[7] = image / 7
    assert measure_star(image, (192, 192), groups).center_to_center_stderr_px is not None


@pytest.mark.slow
def test_a_real_star(real_star):
    result = erfscope.measure_star(real_star)
    assert result.pattern == "star"
    # 2 · 36 · 8 px; peaks on sloping neighbors are pulled inward, by less than the 1 % allowed here.
    assert result.center_to_center_px == pytest.approx(576, rel=0.01)
    assert result.center_to_center_stderr_px < 3
    assert result.summary()["flags"]
