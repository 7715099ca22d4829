"""The order in which a run takes its images, and the replicate group of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from erfscope.datasets import Sample, SkippedImage
from erfscope.engine.groups import assign_groups
from erfscope.engine.image_source import ImageSource
from erfscope.errors import ComputeError
from erfscope.records.shard import Shard

_ENDLESS = 1 << 62  # more images than anyone will give, and few enough to count with


@dataclass(frozen=True)
class ImageItem:
    """One image of a run: its number in the order of all shards together, and its replicate group."""

    sample: Sample | SkippedImage
    index: int
    group: int


@dataclass(frozen=True)
class ImageOrder:
    """The images of a source in a fixed order, of which a shard takes every n-th.

    Attributes
    ----------
    groups
        Number of replicate groups, 0 for none.
    seed
        Seed of the groups, and of a random order.
    shuffled
        Take the images in a seeded random order instead of the list's, whose head is no random sample.
    """

    source: ImageSource
    shard: Shard
    groups: int
    seed: int
    shuffled: bool = False

    @property
    def total(self) -> int | None:
        """How many images this shard takes, None if only the end will tell."""
        return None if self.source.total is None else len(self._indices)

    @property
    def _indices(self) -> range:
        """The indices of this shard in the order of all shards together."""
        end = _ENDLESS if self.source.total is None else self.source.total
        return range(self.shard.index, end, self.shard.count)

    @cached_property
    def _order(self) -> Sequence[int]:
        """From an index in the order to the image's index in the source's list."""
        if not self.shuffled:
            return range(_ENDLESS)
        if self.source.total is None:
            raise ComputeError("a random order needs images of which the number is known; give a dataset")
        # A random stream of its own: the groups are drawn by the same seed.
        drawn: list[int] = np.random.default_rng([self.seed, 1]).permutation(self.source.total).tolist()
        return drawn

    @cached_property
    def names(self) -> Sequence[str]:
        """Names of all images, of all shards, in order; empty if only reading them will tell."""
        listed = self.source.names
        return [listed[self._order[index]] for index in range(len(listed))] if self.shuffled else listed

    def begins_with(self, indices: Sequence[int]) -> bool:
        """Whether these are the first indices of this shard, so that the rest can follow."""
        return list(indices) == list(self._indices[: len(indices)])

    def items(self, workers: int, start: int = 0) -> Iterator[ImageItem]:
        """Yield this shard's images without its first `start` ones, read by `workers` processes."""
        indices = self._indices[start:]
        wanted = [self._order[index] for index in indices] if self.shuffled else indices
        groups = islice(self._groups_in_order(), indices.start, None, indices.step)
        samples = self.source.items(workers, wanted)
        return (ImageItem(*item) for item in zip(samples, indices, groups, strict=False))

    def _groups_in_order(self) -> Iterator[int]:
        sequences = self.source.sequences
        if self.shuffled:
            listed = list(sequences)
            sequences = (listed[index] for index in self._order)
        return assign_groups(sequences, max(1, self.groups), self.seed)
