from collections import Counter

from erfscope.engine.groups import deal_groups


def names(count):
    return [f"{i}.png" for i in range(count)]


def test_groups_are_equal_to_within_one():
    sizes = Counter(deal_groups(names(1003), 16))
    assert set(sizes) == set(range(16))
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_a_sequence_stays_together():
    labels = ["a", "b", "a", "c", "b", "a"]
    dealt = list(deal_groups(labels, 4))
    assert dealt[0] == dealt[2] == dealt[5]
    assert dealt[1] == dealt[4]
    assert len({dealt[0], dealt[1], dealt[3]}) == 3


def test_every_shard_fills_all_groups():
    dealt = list(deal_groups(names(16 * 32), 16))
    for shards in (2, 3, 4, 5, 8, 16):
        assert all(len(set(dealt[shard::shards])) == 16 for shard in range(shards))


def test_the_group_does_not_depend_on_later_images():
    assert list(deal_groups(names(10), 16, seed=3)) == list(deal_groups(names(500), 16, seed=3))[:10]


def test_the_seed_matters():
    assert list(deal_groups(names(50), 16, seed=1)) != list(deal_groups(names(50), 16, seed=2))
