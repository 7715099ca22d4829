"""Differences whose truth is known; significance against scipy's tests and by its rate of false alarms."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from simulated_maps import clipped_sums

import erfscope
from erfscope.errors import MapError
from erfscope.measure.jackknife_means import JackknifeEstimate
from erfscope.measure.map_differences import BLOCKS, MapSample, compare, describe
from erfscope.measure.significance import discoveries, subtract, t_test
from erfscope.records.erf_map import ErfMap, ImageRecord
from erfscope.records.flags import Flag
from erfscope.records.unit import Unit

SIZE, MIDDLE = (64, 64), (31.5, 31.5)
GROUPS = 16


def gaussian(center=MIDDLE, sigma=8.0, floor=0.02, size=SIZE):
    y, x = (np.arange(side) - at for side, at in zip(size, center, strict=True))
    return np.exp(-0.5 * np.add.outer(y**2, x**2) / sigma**2) + floor


def contestant(groups, center=MIDDLE, images=64, names=""):
    """A map of `images`, as many in each group; `names` tells maps of the same images."""
    listed = tuple((f"{names}{i}", i % GROUPS) for i in range(images)) if names else ()
    return MapSample(
        erf=groups.sum(0),
        center=center,
        replicates=groups.astype(np.float32),
        images=images,
        images_per_group=[images // GROUPS] * GROUPS,
        image_groups=listed,
    )


def simulated(seed, variance, **options):
    return contestant(clipped_sums(variance, images=64, seed=seed), **options)


def test_numbers_differ_by_as_much_as_they_should():
    narrow, wide = simulated(0, gaussian() ** 2), simulated(1, gaussian((33.5, 28.5), 10.0) ** 2)
    found = compare([narrow, wide], 0, 1)
    above = gaussian(sigma=10.0, floor=0.0).sum() / gaussian(sigma=10.0).sum()
    for name, shift in {"center_of_mass_y_px": 2.0, "center_of_mass_x_px": -3.0}.items():
        difference = found.scalars[name]
        # The floor, centered in the image, dilutes the shift by its share of the sum.
        assert difference.difference == pytest.approx(shift * above, abs=4 * difference.stderr)
        assert difference.p_value < 1e-3
    assert found.scalars["effective_diameter_px"].t > 10
    assert found.scalars["side50_px"].difference > 2


def test_p_values_are_student_and_welchs():
    """Of means of one number an image, the jackknife is the classical t-test."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 12)), rng.normal(0.5, 2, size=(3, 20))

    def measured(samples):
        count = samples.shape[1]
        left_out = (samples.sum(1)[:, None] - samples).T / (count - 1)
        return JackknifeEstimate(samples.mean(1), left_out, np.full(count, 1 / count))

    difference, stderr, degrees = subtract(measured(first), measured(second), paired=False)
    t, p_values = t_test(difference, stderr, degrees, np.ones(3))
    welch = stats.ttest_ind(second, first, axis=1, equal_var=False)
    assert t == pytest.approx(welch.statistic)
    assert p_values == pytest.approx(welch.pvalue)
    assert degrees == pytest.approx(welch.df)
    difference, stderr, degrees = subtract(measured(first), measured(second[:, :12]), paired=True)
    t, p_values = t_test(difference, stderr, degrees, np.ones(3))
    student = stats.ttest_rel(second[:, :12], first, axis=1)
    assert t == pytest.approx(student.statistic)
    assert p_values == pytest.approx(student.pvalue)
    assert degrees.tolist() == [11] * 3


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
def test_discoveries_are_scipys(rate):
    p_values = np.random.default_rng(0).beta(0.3, 1, (20, 30))
    expected = stats.false_discovery_control(p_values.ravel()).reshape(p_values.shape) <= rate
    assert expected.any()
    assert np.array_equal(discoveries(p_values, rate), expected)
    holes = np.where(np.random.default_rng(1).random(p_values.shape) < 0.2, np.nan, p_values)
    known = np.isfinite(holes)
    assert not discoveries(holes, rate)[~known].any()
    assert np.array_equal(discoveries(holes, rate)[known], discoveries(holes[known], rate))
    assert not discoveries(np.ones((3, 3)), rate).any()


def test_a_map_does_not_differ_from_itself():
    one = simulated(0, gaussian() ** 2, names="a")
    scaled = replace(one, erf=one.erf * 3e7, replicates=one.replicates * np.float32(3e7))
    found = compare([one, scaled], 0, 1)
    assert found.paired
    for name, difference in found.scalars.items():
        assert difference.p_value == 1, name
    assert not found.blocks.significant.any()
    assert found.blocks.overlap == pytest.approx(1)
    assert found.flags == ()


def test_blocks_find_where_maps_differ():
    bump = gaussian((16, 48), 3.0, floor=0.0)
    found = compare([simulated(0, gaussian() ** 2), simulated(1, gaussian() ** 2 + bump)], 0, 1).blocks
    assert found.first.shape == (32, 32)
    assert found.first.sum() == pytest.approx(1)
    at_bump = found.significant[6:11, 22:27]
    assert at_bump.all()
    assert (found.t[6:11, 22:27] > 0).all()
    # The rest has lost what the bump, of σ 3√2 px in the map, has won: what gained elsewhere is false.
    rows, columns = np.nonzero(found.significant & (found.t > 0))
    far = np.hypot(2 * rows + 0.5 - 16, 2 * columns + 0.5 - 48) > 4 * 3 * np.sqrt(2)
    assert far.mean() <= 0.1  # 5 % on average
    assert 0.5 < found.overlap < 0.95


def test_pairing_cancels_what_images_do_to_both():
    rng = np.random.default_rng(0)
    first, second = np.zeros((2, GROUPS, *SIZE))
    for image in range(64):
        center = tuple(31.5 + rng.normal(0, 4, 2))  # each image pulls both maps its way
        first[image % GROUPS] += gaussian(center)
        second[image % GROUPS] += gaussian((center[0] + 0.2, center[1]))
    paired, unpaired = (
        compare([contestant(first, names="a"), contestant(second, names=other)], 0, 1) for other in ("a", "b")
    )
    assert (paired.paired, unpaired.paired) == (True, False)
    tight, loose = (each.scalars["center_of_mass_y_px"] for each in (paired, unpaired))
    assert tight.difference == loose.difference
    assert tight.stderr < loose.stderr / 20
    assert tight.p_value < 1e-6 < 0.5 < loose.p_value
    assert Flag("unpaired", "unpaired: not the same images") in unpaired.flags


def test_the_same_images_in_other_groups_are_not_paired():
    one = simulated(0, gaussian() ** 2, names="a")
    other = replace(one, image_groups=tuple((name, (group + 1) % GROUPS) for name, group in one.image_groups))
    found = compare([one, other], 0, 1)
    assert not found.paired
    assert Flag("unpaired", "unpaired: the same images in other groups") in found.flags


def test_maps_are_aligned_by_their_projected_centers():
    groups = clipped_sums(gaussian((31.5, 31.5), 6.0) ** 2, images=64)
    moved = np.roll(groups, (5, -3), axis=(1, 2))
    one, other = contestant(groups, (31.5, 31.5), names="a"), contestant(moved, (36.5, 28.5), names="a")
    found = compare([one, other], 0, 1)
    assert found.blocks.size == (59, 61)
    assert found.blocks.corners == ((0, 3), (5, 0))
    assert {difference.p_value for difference in found.scalars.values()} == {1.0}
    assert not found.blocks.significant.any()
    assert any("compared in the 59×61 px" in flag.message for flag in found.flags)
    half = compare([one, replace(other, center=(36.0, 28.5))], 0, 1)
    assert any("out of line" in flag.message for flag in half.flags)


def test_maps_of_two_sizes_are_compared_by_numbers_only():
    small = simulated(0, gaussian() ** 2)
    large = simulated(1, gaussian((40, 45), size=(80, 90)) ** 2, center=(40, 45))
    found = compare([small, large], 0, 1)
    assert found.blocks is None
    assert found.scalars["side50_px"].p_value is not None
    assert (
        found.flags[0].message
        == "sizes differ, 64×64 and 80×90 px: numbers compared in px, each of its whole map"
    )


def test_centers_far_apart_leave_no_blocks():
    one, other = simulated(0, gaussian() ** 2, center=(2, 2)), simulated(1, gaussian() ** 2, center=(60, 60))
    found = compare([one, other], 0, 1)
    assert found.blocks is None
    assert any("hardly overlap" in flag.message for flag in found.flags)


def test_no_significance_from_fewer_than_eight_groups():
    one, other = simulated(0, gaussian() ** 2), simulated(1, gaussian() ** 2)
    few = replace(other, replicates=other.replicates[:7], images_per_group=[4] * 7)
    for second in (few, replace(other, replicates=None)):
        found = compare([one, second], 0, 1)
        difference = found.scalars["side50_px"]
        assert difference.difference is not None
        assert (difference.stderr, difference.t, difference.p_value) == (None, None, None)
        assert found.blocks.share_significant is None
        assert any("8 or more filled groups" in flag.message for flag in found.flags)
        json.dumps(found.summary(), allow_nan=False)


def test_uneven_groups_are_flagged():
    groups = clipped_sums(gaussian() ** 2, images=64)
    groups /= groups.sum((1, 2), keepdims=True)
    groups[3] *= 9
    found = compare([contestant(groups), simulated(1, gaussian() ** 2)], 0, 1)
    # (15 + 9)² / (15 + 9²)
    assert any("16 groups weigh like 6.0 " in flag.message for flag in found.flags)
    assert not any(
        "weigh" in flag.message for flag in compare([simulated(0, gaussian() ** 2)] * 2, 0, 1).flags
    )


def test_at_most_32_blocks_a_side():
    one = MapSample(np.ones((65, 200)), (32, 100))
    found = compare([one, one], 0, 1).blocks
    assert found.block_px == 7
    assert found.first.shape == (10, 29)
    assert max(found.first.shape) <= BLOCKS
    assert found.first[0, 0] == pytest.approx(49 / 13000)
    assert found.first[-1, -1] == pytest.approx(2 * 4 / 13000)  # the ragged corner


def test_nothing_to_compare():
    one = simulated(0, gaussian() ** 2)
    with pytest.raises(MapError, match="map 2 sums to 0"):
        compare([one, replace(one, erf=np.zeros(SIZE))], 0, 1)
    with pytest.raises(MapError, match="it takes two or more"):
        erfscope.compare_maps([])


def test_numbers_of_one_map():
    numbers = describe(MapSample(np.ones((20, 30)), (9.5, 14.5)))
    assert numbers.values["center_of_mass_y_px"] == pytest.approx(0)
    assert numbers.values["side50_px"] == pytest.approx(np.sqrt(300), abs=0.1)  # linear between 17 and 19
    assert numbers.values["area_ratio50"] == pytest.approx(0.5, abs=0.001)
    assert numbers.values["side95_above_background_px"] is None
    assert set(numbers.stderr.values()) == {None}


def erf_map(groups, records):
    return ErfMap(
        groups.sum(0), Unit(32, 32), MIDDLE, "paper", "logits", len(records), None, None,
        groups.astype(np.float32), records,
    )  # fmt: skip


def test_image_lists_decide_on_pairing():
    groups = clipped_sums(gaussian() ** 2, images=32)
    records = [ImageRecord(f"{i}", i % GROUPS, "done", mass=1.0 + i) for i in range(32)]
    one = erf_map(groups, tuple(records))
    other = erf_map(groups[::-1] + 0.01, tuple(records))
    skipped = erf_map(groups, (*records[:-1], replace(records[-1], status="skipped", mass=None)))
    pairs = erfscope.compare_maps([one, other, skipped]).pairs
    assert [pair.paired for pair in pairs] == [True, False]
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1), (0, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("paired", [False, True])
def test_one_in_twenty_equal_maps_differs(paired):
    """Two halves of the images of one network, or two networks that see the same images alike."""
    runs, alarms, finds = 120, 0, 0
    for run in range(runs):
        rng = np.random.default_rng([run, paired])
        groups = np.zeros((2, GROUPS, *SIZE))
        for image in range(32):
            draws = [rng.normal(size=3) for _ in range(1 if paired else 2)] * (2 if paired else 1)
            for half, (dy, dx, heavy) in enumerate(draws):
                root = gaussian((31.5 + dy, 31.5 + dx))
                clipped = np.maximum(root * rng.normal(size=SIZE), 0)
                groups[half, image % GROUPS] += np.exp(0.3 * heavy) * clipped
        names = ("a", "a") if paired else ("a", "b")
        maps = [contestant(half, images=32, names=name) for half, name in zip(groups, names, strict=True)]
        found = compare(maps, 0, 1)
        assert found.paired == paired
        alarms += sum(difference.p_value < 0.05 for difference in found.scalars.values())
        finds += bool(found.blocks.significant.any())
    # The five numbers of a map go together; as if they were two, 30 of 600 scatter by 8: three times that.
    assert 6 <= alarms <= 54
    # Where all maps are equal, every discovery is false: in one of twenty pairs, at most; three σ are 7.
    assert finds <= 13
