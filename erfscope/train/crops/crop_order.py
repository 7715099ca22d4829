"""The order of images: a function of seed and position in the run, however many processes there are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# Tell apart the random numbers that one seed is used for.
_ORDER, _SAMPLE, _STEP = range(3)


@dataclass(frozen=True)
class Visit:
    """One image at one position of the run.

    Attributes
    ----------
    place
        Index of the image in the dataset.
    key
        Seed of the random numbers of its crop.
    """

    place: int
    key: tuple[int, ...]

    def generator(self) -> np.random.Generator:
        """Return a new generator of the random numbers of this crop."""
        return np.random.default_rng(self.key)


@dataclass(frozen=True)
class CropOrder:
    """An endless sequence of epochs, each a permutation of `places`, drawn from seed and epoch.

    `places` may name an image several times; each has random numbers of its own.
    """

    places: Sequence[int]
    seed: int

    def visit(self, position: int) -> Visit:
        """Return the image at a position, counted from the run's first image."""
        epoch, step = divmod(position, len(self.places))
        entry = int(_permutation(len(self.places), self.seed, epoch)[step])
        return Visit(self.places[entry], (self.seed, epoch, entry, _SAMPLE))


@dataclass(frozen=True)
class ProcessShare:
    """The images of one process among several: `batch` consecutive positions of each pass.

    Attributes
    ----------
    batch
        Images per process and pass.
    passes
        Passes per iteration.
    rank, processes
        Number of this process, and how many there are.
    """

    batch: int
    passes: int
    rank: int = 0
    processes: int = 1

    def positions(self, first: int, last: int) -> Iterator[int]:
        """Yield the positions of the iterations from `first` up to `last`, exclusive, pass by pass."""
        together = self.batch * self.processes
        for number in range(first * self.passes, last * self.passes):
            begin = number * together + self.rank * self.batch
            yield from range(begin, begin + self.batch)


def step_seed(seed: int, iteration: int, rank: int) -> int:
    """Return the seed of dropout in an iteration: a function, so that no generator has to be saved."""
    state = np.random.SeedSequence((seed, iteration, rank, _STEP)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


@lru_cache(maxsize=4)
def _permutation(length: int, seed: int, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.random.default_rng((seed, epoch, _ORDER)).permutation(length)
