"""Deals the images to the replicate groups from which every error bar comes."""

from collections.abc import Iterable, Iterator

import numpy as np


def deal_groups(sequences: Iterable[str], groups: int, seed: int = 0) -> Iterator[int]:
    """Yield each image's replicate group, from 0 to `groups` − 1.

    Images of one sequence (frames of one drive, say) are not independent and stay together. The
    sequences are dealt in list order, `groups` at a time, each time by a new seeded permutation: the
    groups stay equal to within one sequence, a shard (every n-th image) reaches all of them, and the
    group of an image does not depend on the images after it.

    Parameters
    ----------
    sequences
        One label an image, in list order; equal labels stay together.
    groups
        G ≥ 1.
    seed
        Of the permutations.
    """
    rng = np.random.default_rng(seed)
    dealt: dict[str, int] = {}
    hand: list[int] = []
    for label in sequences:
        if label not in dealt:
            hand = hand or [int(group) for group in rng.permutation(groups)]
            dealt[label] = hand.pop()
        yield dealt[label]
