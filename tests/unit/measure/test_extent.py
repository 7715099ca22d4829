"""Area ratios against RepLKNet's script and against counting; diameters and sides with known truth."""

import json

import numpy as np
import pytest
from simulated_maps import clipped_sums

from erfscope.measure.boxes import boxes_about
from erfscope.measure.extent import measure_extent
from erfscope.records.flags import Flag

THRESHOLDS = {"0.2": 0.2, "0.3": 0.3, "0.5": 0.5, "0.99": 0.99}


def replknet(data, share):
    """What RepLKNet's erf/analyze_erf.py finds in `data`: (side, area ratio), or None, where it crashes."""
    height, width = data.shape
    for reach in range(1, height // 2):
        rows = slice(height // 2 - reach, height // 2 + reach + 1)
        columns = slice(width // 2 - reach, width // 2 + reach + 1)
        if data[rows, columns].sum() / data.sum() > share:
            side = 2 * reach + 1
            return side, side / height * side / width
    return None


def count(data, center, share, *, finer=2):
    """The same about any center that is a multiple of half a pixel, by cutting every pixel into four."""
    fine = np.kron(data, np.ones((finer, finer))) / finer**2
    y, x = (((np.arange(side * finer) + 0.5) / finer - 0.5) for side in data.shape)
    for side in range(3, 4 * max(data.shape), 2):
        inside = np.outer(np.abs(y - center[0]) < side / 2, np.abs(x - center[1]) < side / 2)
        if inside.all():
            return None
        if (fine * inside).sum() > share * fine.sum():
            return side, inside.sum() / finer**2 / data.size
    return None


def gaussian(size, center, sigma, floor=0.0):
    y, x = (np.arange(side) - at for side, at in zip(size, center, strict=True))
    return np.exp(-0.5 * (np.add.outer(y**2, x**2)) / sigma**2) + floor


MAPS = {
    "gaussian": gaussian((65, 65), (32, 32), 9.0),
    "on a floor": gaussian((65, 65), (32, 32), 4.0, floor=0.05),
    "off the middle": gaussian((65, 65), (20, 41), 6.0),
    "uniform": np.ones((65, 65)),
    "rough": np.random.default_rng(0).gamma(0.2, 1.0, (65, 65)),
    "one pixel": np.pad(np.ones((1, 1)), 32),
    "even": np.random.default_rng(1).gamma(0.2, 1.0, (64, 64)),
}


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("images", [1, 7])
def test_replknets_script_finds_the_same(kind, images):
    data = 300 * MAPS[kind]  # gradients large enough to make the logarithm differ
    middle = (data.shape[0] // 2, data.shape[1] // 2)
    found = measure_extent(data * images, middle, images=images)
    for ratios, script in ((found.raw, data), (found.log, np.log10(data + 1) / np.log10(data + 1).max())):
        for name, share in THRESHOLDS.items():
            side, area = replknet(script, share) or (None, None)
            assert ratios.side_px[name] == side
            # The same fraction, multiplied in another order.
            assert ratios.area_ratio[name] == (None if area is None else pytest.approx(area, rel=1e-12))


def test_the_logarithm_depends_on_the_scale_and_says_so():
    small, large = (measure_extent(scale * MAPS["gaussian"], (32, 32), images=1) for scale in (1e-3, 1e6))
    assert small.log.side_px["0.5"] < large.log.side_px["0.5"]
    assert small.raw == large.raw
    assert any("depend on the gradient's scale" in flag.message for flag in small.flags)


def test_a_share_that_is_not_reached():
    found = measure_extent(np.ones((65, 65)), (32, 32), images=1)
    assert found.raw.side_px["0.99"] is None
    assert found.raw.area_ratio["0.99"] is None
    assert found.raw.area_ratio_stderr["0.99"] is None
    message = "not reached by any box short of the whole image: raw 0.99, log 0.99"
    assert Flag("share_not_reached", message) in found.flags


@pytest.mark.parametrize("center", [(20, 50), (19.5, 50.5), (3, 96.5), (0, 0)])
@pytest.mark.parametrize("data", [gaussian((48, 97), (20, 50), 7.0), MAPS["rough"][:48], np.ones((48, 97))])
def test_any_center_in_any_rectangle(center, data):
    found = measure_extent(data, center, images=1)
    for name, share in THRESHOLDS.items():
        side, area = count(data, center, share) or (None, None)
        assert found.raw.side_px[name] == side
        # Two ways of summing the same fractions.
        assert found.raw.area_ratio[name] == (None if area is None else pytest.approx(area, rel=1e-12))


def test_squares_that_leave_the_image_are_flagged():
    inside = measure_extent(gaussian((65, 65), (32, 32), 3.0), (32, 32), images=1)
    outside = measure_extent(gaussian((65, 65), (5, 32), 3.0), (5, 32), images=1)
    assert not any("leave the image" in flag.message for flag in inside.flags)
    message = "boxes wider than 11 px leave the image: the part within counts"
    assert Flag("boxes_leave_map", message) in outside.flags


def test_squares_end_with_the_first_that_covers_the_map():
    squares = boxes_about((10, 7), (4.5, 3.0))
    assert squares.sides.tolist() == [1, 3, 5, 7, 9, 11]
    assert squares.areas[-1] == 70
    assert squares.sums(np.arange(70.0).reshape(10, 7))[-1] == pytest.approx(69 * 35)


def test_the_effective_diameter_of_a_gaussian_is_four_sigma():
    found = measure_extent(gaussian((201, 201), (100, 100), 12.0), (100, 100), images=1)
    # The sums over pixels are integrals to many digits; the tails beyond 8 σ are missing.
    assert found.effective_diameter_px == pytest.approx(48, rel=1e-6)
    assert found.effective_diameter_above_background_px == pytest.approx(48, rel=1e-6)


def test_a_floor_widens_the_diameter_but_not_the_one_above_it():
    found = measure_extent(gaussian((201, 201), (100, 100), 12.0, floor=0.01), (100, 100), images=1)
    assert found.effective_diameter_px > 60
    assert found.effective_diameter_above_background_px == pytest.approx(48, rel=1e-6)
    assert found.background == pytest.approx(0.01, rel=1e-6)


def test_few_images_do_not_narrow_the_diameter():
    sums = clipped_sums(gaussian((129, 129), (64, 64), 12.0), images=16, heavy=0.0)
    found = measure_extent(sums.sum(0), (64, 64), sums, images=16)
    truth = 4 * 12 * np.sqrt(2)  # the mean of a clipped gradient goes with the root of its variance
    assert found.effective_diameter_px == pytest.approx(truth, abs=3 * found.effective_diameter_stderr_px)
    bare = measure_extent(sums.sum(0), (64, 64), images=16)
    assert bare.effective_diameter_px < truth - 5 * found.effective_diameter_stderr_px
    assert any("too small if images are few" in flag.message for flag in bare.flags)


@pytest.mark.parametrize("floor", [0.0, 0.02, 5.0])
def test_the_side_of_what_stands_above_the_background(floor):
    found = measure_extent(gaussian((301, 301), (150, 150), 15.0, floor), (150, 150), images=1)
    # erf(side / (2√2 σ))² = 0.95; linear between odd sides, 2 px apart on a smooth curve.
    assert found.side95_above_background_px == pytest.approx(15.0 * 2 * 2.2365, abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_stands_above_a_flat_background(seed):
    flat = np.random.default_rng(seed).gamma(1.0, 1.0, (128, 128))
    for data in (flat, np.ones((128, 128))):
        found = measure_extent(data, (64, 64), images=1)
        assert found.side95_above_background_px is None
        assert found.effective_diameter_above_background_px is None
        assert "nothing_above_background" in [flag.code for flag in found.flags]


def test_radial_profile():
    y, x = np.indices((21, 33)) - np.array([8.0, 20.0])[:, None, None]
    ring = np.rint(np.hypot(y, x))
    found = measure_extent(3 * (ring + 1), (8.0, 20.0), images=3).radial_profile
    assert found.radius_px.tolist() == sorted(set(ring.ravel().tolist()))
    assert found.mean == pytest.approx(found.radius_px + 1)
    assert found.stderr is None


def test_equal_images_have_no_error_in_groups_of_any_size():
    image, sizes = gaussian((65, 65), (32, 32), 6.0), [1, 2, 1, 3, 1, 1, 2, 1, 0, 1]
    groups = np.array([size * image for size in sizes])
    found = measure_extent(groups.sum(0), (32, 32), groups, images=13, images_per_group=sizes)
    errors = [found.effective_diameter_stderr_px, found.side95_above_background_stderr_px]
    errors += [*found.raw.side_stderr_px.values(), *found.log.side_stderr_px.values()]
    assert max(errors) < 1e-9  # rounding
    assert found.radial_profile.stderr.max() < 1e-12


def test_no_error_from_fewer_than_eight_groups():
    groups = np.zeros((16, 65, 65))
    groups[:7] = gaussian((65, 65), (32, 32), 9.0)
    found = measure_extent(groups.sum(0), (32, 32), groups, images=7)
    assert found.effective_diameter_stderr_px is None
    assert found.raw.side_stderr_px["0.5"] is None
    assert any("fewer than 8 filled groups" in flag.message for flag in found.flags)
    groups[7] = groups[0]
    assert measure_extent(groups.sum(0), (32, 32), groups, images=8).raw.side_stderr_px["0.5"] is not None


@pytest.mark.slow
def test_errors_are_the_scatter_of_other_images():
    variance = gaussian((65, 65), (32, 32), 8.0, floor=1e-3)
    found = []
    for seed in range(60):
        sums = clipped_sums(variance, images=32, seed=seed, heavy=0.5)
        found.append(measure_extent(sums.sum(0), (32, 32), sums, images=32))
    for number, error in (
        ("effective_diameter_px", "effective_diameter_stderr_px"),
        ("side95_above_background_px", "side95_above_background_stderr_px"),
        ("background", "background_stderr"),
    ):
        scatter = np.std([getattr(each, number) for each in found], ddof=1)
        stated = np.sqrt(np.mean([getattr(each, error) ** 2 for each in found]))
        # The scatter of 60 is known to 9 %; the jackknife of the background's trimmed mean, and so of the
        # side above it, is a fifth too large.
        assert 0.75 < stated / scatter < 1.5, number


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((20, 20)),
        np.ones((1, 5)),
        np.ones((2, 2)),
        -np.ones((20, 20)),
        np.random.default_rng(0).normal(size=(20, 20)),
        np.full((20, 20), 1e-300),
    ],
)
def test_odd_maps_give_flags_and_no_nan(data):
    center = (data.shape[0] // 2, data.shape[1] // 2)
    found = measure_extent(data, center, np.array([data] * 16), images=16)
    json.dumps(found.summary(), allow_nan=False)
    assert found.flags
    assert any("negative" in flag.message for flag in found.flags) == bool((data < 0).any())
