"""Shards make the map of one run, in any order; what doesn't belong together is refused in words."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from small_networks import SmallNet, noise_images, seeded

import erfscope
from erfscope.errors import ComputeError, MapError
from erfscope.store.merge import merge_files

SIZE, IMAGES = (21, 26), 23
ARRAYS = ("erf", "gradient_sum", "gradient_square_sum", "replicates")


def compute(shard=(0, 1), images=None, **options):
    images = noise_images(IMAGES, SIZE) if images is None else images
    return erfscope.compute_erf(seeded(SmallNet()), images, shard=shard, **options)


@pytest.fixture(scope="module")
def whole():
    return compute()


@pytest.fixture(scope="module")
def shards():
    return [compute((index, 4)) for index in range(4)]


def assert_same(merged, whole):
    for name in ARRAYS:
        got, expected = getattr(merged, name), getattr(whole, name)
        # The order of a sum's terms is all that differs; replicates are rounded to float32 once.
        rounding = 1e-12 if name != "replicates" else 1e-7
        np.testing.assert_allclose(got, expected, rtol=0, atol=rounding * np.abs(expected).max())
        assert got.dtype == expected.dtype
    assert [replace(record, mass=None) for record in merged.records] == [
        replace(record, mass=None) for record in whole.records
    ]
    assert (merged.images, merged.images_total, merged.shard, merged.finished) == (
        IMAGES,
        IMAGES,
        whole.shard,
        True,
    )


def test_a_shard_takes_every_nth_image_and_reaches_all_groups(shards, whole):
    for index, shard in enumerate(shards):
        assert [record.index for record in shard.records] == list(range(index, IMAGES, 4))
        assert [record.group for record in shard.records] == [r.group for r in whole.records[index::4]]
        assert shard.replicates.dtype == np.float64
        assert "merge all shards" in shard.flags[0].message
    assert whole.replicates.dtype == np.float32
    assert whole.flags == ()


def test_any_order_gives_the_same_bits(shards, whole):
    first = erfscope.merge_maps(shards)
    assert_same(first, whole)
    for order in itertools.islice(itertools.permutations(shards), 1, None, 5):
        again = erfscope.merge_maps(order)
        assert all(np.array_equal(getattr(again, name), getattr(first, name)) for name in ARRAYS)
        assert again.records == first.records


@pytest.mark.slow
def test_sixteen_files_in_random_order(tmp_path, whole):
    paths = [tmp_path / f"{index}.h5" for index in range(16)]
    for index, path in enumerate(paths):
        compute((index, 16)).save(path)
    maps = []
    for seed in range(3):
        random.Random(seed).shuffle(paths)
        maps.append(merge_files(paths))
    assert_same(maps[0], whole)
    for name in ARRAYS:
        assert np.array_equal(getattr(maps[0], name), getattr(maps[1], name))
        assert np.array_equal(getattr(maps[0], name), getattr(maps[2], name))
    assert [part["shard"] for part in maps[0].provenance["merged"]] == [f"{index}/16" for index in range(16)]
    assert len(maps[0].provenance["sessions"]) == 16


def test_a_partial_merge_is_unfinished_and_can_be_merged_again(shards, whole):
    with pytest.raises(MapError, match=r"shard 1/4, 3/4 is missing; .*--partial"):
        erfscope.merge_maps([shards[0], shards[2]])
    part = erfscope.merge_maps([shards[0], shards[2]], partial=True)
    assert not part.finished
    assert part.images == 12
    assert "12 of 23 images; merge the rest" in part.flags[0].message
    with pytest.raises(MapError, match="5 of 23 images are missing"):
        erfscope.merge_maps([part, shards[1]])
    assert_same(erfscope.merge_maps([part, shards[3], shards[1]]), whole)


def test_shards_of_other_numbers_fit_together(whole):
    assert_same(erfscope.merge_maps([compute((1, 2)), compute((0, 4)), compute((2, 4))]), whole)


def test_shards_of_images_whose_number_nobody_knows():
    maps = [compute((index, 3), images=iter(noise_images(IMAGES, SIZE))) for index in range(3)]
    assert_same(erfscope.merge_maps(maps), compute())
    with pytest.raises(MapError, match="shard 2/3 is missing"):
        erfscope.merge_maps(maps[:2])


def test_overlap_is_refused(shards, whole):
    with pytest.raises(MapError, match=r"map 2 holds 6 images that map 1 holds too, image-00000 first"):
        erfscope.merge_maps([shards[0], shards[0]])
    with pytest.raises(MapError, match="holds 6 images that .* holds too"):
        erfscope.merge_maps([shards[1], whole])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formula": "luo2016"}, "formula paper, not luo2016|formula luo2016, not paper"),
        ({"target": 1}, "target"),
        ({"unit": (3, 3)}, "unit"),
        ({"seed": 1}, "seed"),
        ({"replicates": 8}, "replicates 16, not 8"),
        ({"precision": "float64"}, "precision float32, not float64"),
        ({"engine": "dense"}, "engine auto, not dense"),
        ({"images": noise_images(IMAGES, (21, 27))}, "data.size"),
    ],
)
def test_shards_of_another_run_are_refused(shards, options, message):
    with pytest.raises(MapError, match=message) as caught:
        erfscope.merge_maps([shards[0], compute((1, 4), **options)])
    assert "\n" not in str(caught.value)


def test_shards_of_other_weights_are_refused(shards):
    other = erfscope.compute_erf(seeded(SmallNet(), seed=1), noise_images(IMAGES, SIZE), shard=(1, 4))
    with pytest.raises(MapError, match="weights [0-9a-f]{12}…, not [0-9a-f]{12}…"):
        erfscope.merge_maps([shards[0], other])


def test_other_batches_and_versions_are_rounding(shards, whole):
    other = compute((1, 4), batch_size=4)
    provenance = other.provenance | {"versions": other.provenance["versions"] | {"torch": "9.9"}}
    merged = erfscope.merge_maps([*shards[2:], replace(other, provenance=provenance), shards[0]])
    assert "different versions" in merged.flags[0].message
    # Other kernels for other batches: float32 rounding of each image, and now and then a ReLU that switches.
    assert np.abs(merged.erf - whole.erf).sum() < 1e-3 * whole.erf.sum()


@pytest.mark.parametrize("shard", [(2, 2), (-1, 3), (0, 0)])
def test_shards_that_do_not_exist(shard):
    with pytest.raises(ComputeError, match="there is no shard"):
        compute(shard)


def test_what_cannot_be_merged():
    with pytest.raises(MapError, match="no maps to merge"):
        erfscope.merge_maps([])
    imported = replace(compute(), provenance={"source": "x.npy"}, records=())
    with pytest.raises(MapError, match="doesn't record its images and network"):
        erfscope.merge_maps([imported])
