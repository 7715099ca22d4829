"""Assigns images to the replicate groups from which every error bar comes."""

from collections.abc import Iterable, Iterator

import numpy as np


def assign_groups(sequences: Iterable[str], groups: int, seed: int = 0) -> Iterator[int]:
    """Yield each image's replicate group, from 0 to `groups` − 1.

    Images of one sequence (frames of one drive, say) are not independent and stay together. The
    sequences take their groups in list order from the rows of seeded random Latin squares. Each row is a
    permutation, so the groups stay equal to within one sequence; so is each column, so a shard of every
    n-th image reaches all groups as well; and no image's group depends on the images after it.

    Parameters
    ----------
    sequences
        One label an image, in list order; equal labels stay together.
    groups
        G ≥ 1.
    seed
        Seed of the random squares.
    """
    rng = np.random.default_rng(seed)
    assigned: dict[str, int] = {}
    free: list[int] = []
    for label in sequences:
        if label not in assigned:
            free = free or _latin_square(groups, rng)
            assigned[label] = free.pop()
        yield assigned[label]


def _latin_square(size: int, rng: np.random.Generator) -> list[int]:
    """Return the rows, one after another, of a random Latin square of the numbers 0 to `size` − 1."""
    rows, columns, symbols = (rng.permutation(size) for _ in range(3))
    square: list[int] = symbols[(rows[:, None] + columns) % size].ravel().tolist()
    return square
