"""Stars whose truth is known."""

import json

import numpy as np
import pytest
from simulated_maps import Blob, clipped_sums, star_variance
from tiers import representatives

from erfscope.measure.star import DIRECTIONS, measure_star

SIZE = (385, 385)
CENTER = (192.0, 192.0)


def sums(distances, *, size=SIZE, center=CENTER, sigma=6.0, images=32, seed=0, **options):
    variance = star_variance(size, center, distances, Blob(sigma), seed=seed, **options)
    return clipped_sums(variance, images=images, seed=seed)


@pytest.mark.parametrize("distances", [(48, 96, 144), (40, 100), (60, 130, 170), (30, 60, 90, 120, 150)])
@pytest.mark.parametrize(("down", "right"), representatives([(0.0, 0.0), (-3.5, 2.25)], [(-3.5, 2.25)]))
def test_rings_and_center(distances, down, right):
    center = (192 + down, 192 + right)
    groups = sums(distances, center=center)
    star = measure_star(groups.sum(0), CENTER, groups.astype(np.float32))
    assert star.pattern == "star"
    # 32 images: sampling errors are about 0.1 px.
    assert [ring.distance_px for ring in star.rings] == pytest.approx(distances, abs=0.6)
    assert star.center == pytest.approx(center, abs=0.4)
    assert star.center_to_center_px == pytest.approx(2 * distances[-1], abs=0.8)
    low, high = star.center_to_center_interval95_px
    assert low < star.center_to_center_px < high
    assert star.end_to_end_convention_px == star.center_to_center_px + 32
    assert star.end_to_end_measured_px == star.center_to_center_px + star.blob_fwhm_px
    # In E a blob is √2 wider than in the variance.
    assert star.blob_fwhm_px == pytest.approx(6 * 2**0.5 * 2.3548, rel=0.12)
    assert sum(ring.mass_share for ring in star.rings) < 1
    assert star.score > 0.85


def test_arms_stand_where_their_names_say():
    star = measure_star(sums((50, 100)).sum(0), CENTER)
    outer = {arm.direction: arm for arm in star.arms if arm.ring == 1}
    assert set(outer) == set(DIRECTIONS)
    assert (outer["NE"].y_px, outer["NE"].x_px) == pytest.approx((92, 292), abs=1.0)  # y down: north is up
    assert outer["NE"].distance_px == pytest.approx(100, abs=1.0)


def test_a_blob_that_strays_is_located_for_itself():
    variance = star_variance(SIZE, CENTER, (60, 120), Blob(6.0), spread=0.0)
    y, x = (np.arange(n, dtype=float) for n in SIZE)
    variance += Blob(6.0).draw(y, x, (192 - 120.0, 192 + 3.0)) - Blob(6.0).draw(y, x, (192 - 120.0, 192.0))
    star = measure_star(np.sqrt(np.maximum(variance, 0)), CENTER)
    north = next(arm for arm in star.arms if arm.direction == "N" and arm.ring == 1)
    # Without noise; the belief in the lattice draws a blob back by a few percent of its way.
    assert north.x_px == pytest.approx(195, abs=0.5)


def test_a_grid_is_no_star():
    groups = sums((48, 96), grid=True)
    grid = measure_star(groups.sum(0), CENTER)
    assert grid.pattern == "grid"
    assert grid.center_to_center_px == pytest.approx(4 * 48, abs=1.5)
    assert [ring.blobs_inside for ring in grid.rings] == [8, 16]


def test_an_oblong_map_shows_the_outer_ring_east_and_west_only():
    groups = sums((96, 192, 288), size=(512, 1024), center=(255.5, 511.5), sigma=10)
    star = measure_star(groups.sum(0), (255.5, 511.5))
    assert star.center_to_center_px == pytest.approx(576, rel=0.003)
    assert [ring.blobs_inside for ring in star.rings] == [8, 8, 2]
    assert any("ring at 288 px: 2 of its 8 blobs" in flag.message for flag in star.flags)
    assert {arm.direction for arm in star.arms if arm.ring == 2} == {"E", "W"}


def test_a_unit_off_center():
    groups = sums((60, 120), center=(90.0, 240.0))
    star = measure_star(groups.sum(0), (90.0, 240.0))
    assert star.center_to_center_px == pytest.approx(240, abs=1.0)
    assert [ring.blobs_inside for ring in star.rings] == [8, 5]


def test_a_cropped_star_is_measured_inside_and_flagged():
    groups = sums((60, 120, 180), size=(321, 321), center=(160.0, 160.0))
    star = measure_star(groups.sum(0), (160.0, 160.0))
    assert star.center_to_center_px == pytest.approx(240, abs=1.5)  # the third ring lies outside
    assert star.center_to_center_px == 2 * star.rings[-1].distance_px


def test_scale_and_empty_maps():
    erf = sums((50, 100)).sum(0)
    assert measure_star(erf * 1e-12, CENTER).center_to_center_px == pytest.approx(
        measure_star(erf, CENTER).center_to_center_px, rel=1e-9
    )
    for odd in (np.zeros(SIZE), np.ones(SIZE), np.eye(16), np.ones((3, 400)), -np.ones(SIZE)):
        star = measure_star(odd, (odd.shape[0] / 2, odd.shape[1] / 2))
        assert (star.pattern, star.center_to_center_px, star.rings) == ("none", None, ())
        json.dumps(star.summary(), allow_nan=False)


@pytest.mark.slow
def test_the_sampling_error_is_the_scatter_of_other_images():
    measured, stated = [], []
    for seed in range(24):
        variance = star_variance((161, 161), (80, 80), (24, 48), Blob(4.0), seed=1)
        groups = clipped_sums(variance, images=16, seed=seed, heavy=0.5)
        star = measure_star(groups.sum(0), (80, 80), groups.astype(np.float32))
        measured.append(star.center_to_center_px)
        stated.append(star.center_to_center_stderr_px)
    # The scatter of 24 repetitions is itself known to 15 %; three times that.
    assert np.sqrt(np.mean(np.square(stated))) == pytest.approx(np.std(measured, ddof=1), rel=0.45)


def test_no_error_bar_from_fewer_than_eight_groups():
    groups = sums((48, 96)).astype(np.float32)
    groups[7:] = 0
    assert measure_star(groups.sum(0).astype(float), CENTER, groups).center_to_center_stderr_px is None
    groups = sums((48, 96)).astype(np.float32)
    groups[8:] = 0
    assert measure_star(groups.sum(0).astype(float), CENTER, groups).center_to_center_stderr_px is not None


def test_uneven_groups_weigh_as_their_images_do():
    groups = sums((16, 32, 48), images=64)
    merged = np.array([groups[:8].sum(0), *groups[8:]])  # one group with the images of eight
    equal, told = (
        measure_star(merged.sum(0), CENTER, merged, images_per_group=sizes)
        for sizes in (None, [32, *[4] * 8])
    )
    whole = measure_star(groups.sum(0), CENTER, groups)
    assert told.center_to_center_px == whole.center_to_center_px
    # Eight of the sixteen groups tell the error, to a third or so; taken for equal, they overstate it.
    assert told.center_to_center_stderr_px == pytest.approx(whole.center_to_center_stderr_px, rel=0.6)
    assert equal.center_to_center_stderr_px != told.center_to_center_stderr_px
