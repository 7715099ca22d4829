"""Deals the images to the replicate groups from which every error bar comes."""

from collections.abc import Iterable, Iterator

import numpy as np


def deal_groups(sequences: Iterable[str], groups: int, seed: int = 0) -> Iterator[int]:
    """Yield each image's replicate group, from 0 to `groups` − 1.

    Images of one sequence (frames of one drive, say) are not independent and stay together. The
    sequences are dealt in list order along the rows of seeded random Latin squares. Each row is a
    permutation, so the groups stay equal to within one sequence; so is each column, so a shard of every
    n-th image reaches all groups as well; and no image's group depends on the images after it.

    Parameters
    ----------
    sequences
        One label an image, in list order; equal labels stay together.
    groups
        G ≥ 1.
    seed
        Of the squares.
    """
    rng = np.random.default_rng(seed)
    dealt: dict[str, int] = {}
    hand: list[int] = []
    for label in sequences:
        if label not in dealt:
            hand = hand or _latin_square(groups, rng)
            dealt[label] = hand.pop()
        yield dealt[label]


def _latin_square(size: int, rng: np.random.Generator) -> list[int]:
    """Rows of a random Latin square of the numbers 0 to `size` − 1, one after another."""
    rows, columns, symbols = (rng.permutation(size) for _ in range(3))
    square: list[int] = symbols[(rows[:, None] + columns) % size].ravel().tolist()
    return square
