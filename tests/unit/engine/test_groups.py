from collections import Counter

from erfscope.engine.groups import assign_groups


def names(count):
    return [f"{i}.png" for i in range(count)]


def test_groups_are_equal_to_within_one():
    sizes = Counter(assign_groups(names(1003), 16))
    assert set(sizes) == set(range(16))
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_a_sequence_stays_together():
    labels = ["a", "b", "a", "c", "b", "a"]
    assigned = list(assign_groups(labels, 4))
    assert assigned[0] == assigned[2] == assigned[5]
    assert assigned[1] == assigned[4]
    assert len({assigned[0], assigned[1], assigned[3]}) == 3


def test_every_shard_fills_all_groups():
    assigned = list(assign_groups(names(16 * 32), 16))
    for shards in (2, 3, 4, 5, 8, 16):
        assert all(len(set(assigned[shard::shards])) == 16 for shard in range(shards))


def test_the_group_does_not_depend_on_later_images():
    assert list(assign_groups(names(10), 16, seed=3)) == list(assign_groups(names(500), 16, seed=3))[:10]


def test_the_seed_matters():
    assert list(assign_groups(names(50), 16, seed=1)) != list(assign_groups(names(50), 16, seed=2))
