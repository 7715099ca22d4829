"""Who sees which image when: together several processes see what one sees, from any iteration on."""

from collections import Counter

import numpy as np
import pytest

from erfscope.train.crops.crop_order import CropOrder, ProcessShare, step_seed

ORDER = CropOrder(tuple(range(10, 17)), seed=3)


def test_an_epoch_is_a_permutation():
    epochs = [[ORDER.visit(7 * epoch + k).place for k in range(7)] for epoch in range(20)]
    assert all(sorted(epoch) == list(ORDER.places) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 15
    assert [CropOrder(ORDER.places, 4).visit(k).place for k in range(7)] != epochs[0]


def test_random_numbers_are_an_images_own_in_each_epoch():
    draws = {}
    for position in range(70):
        visit = ORDER.visit(position)
        draws[visit.place, position // 7] = visit.generator().random()
    assert len(set(draws.values())) == 70


def test_images_that_come_twice_differ():
    order = CropOrder((5, 5, 5), seed=0)
    assert len({order.visit(k).generator().random() for k in range(3)}) == 3


def seen(processes, batch, passes, first=0, last=6):
    """Of each pass the positions of all processes together."""
    each = [
        np.reshape(list(ProcessShare(batch, passes, rank, processes).positions(first, last)), (-1, batch))
        for rank in range(processes)
    ]
    return [sorted(np.concatenate(parts).tolist()) for parts in zip(*each, strict=True)]


@pytest.mark.parametrize(("processes", "batch"), [(2, 4), (4, 2), (8, 1)])
def test_processes_share_a_batch(processes, batch):
    assert seen(processes, batch, passes=1) == seen(1, 8, passes=1)


def test_passes_share_a_batch():
    whole, halves = seen(1, 8, passes=1), seen(1, 4, passes=2)
    assert [sorted(halves[k] + halves[k + 1]) for k in range(0, 12, 2)] == whole


def test_no_image_is_left_out_or_seen_twice():
    counts = Counter(position for step in seen(2, 3, passes=2) for position in step)
    assert sorted(counts) == list(range(6 * 12))
    assert set(counts.values()) == {1}


def test_a_run_goes_on_where_it_was():
    share = ProcessShare(2, 2, 1, 3)
    assert [*share.positions(0, 4), *share.positions(4, 9)] == list(share.positions(0, 9))


def test_seeds_of_steps_differ():
    seeds = {step_seed(seed, step, rank) for seed in range(4) for step in range(50) for rank in range(4)}
    assert len(seeds) == 800
    assert all(0 <= seed < 2**63 for seed in seeds)
