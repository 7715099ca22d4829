"""Which images a run takes, in which order, and into which group each falls."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from erfscope.datasets import Sample, SkippedImage
from erfscope.engine.groups import deal_groups
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
        Of how many replicate groups each image gets one.
    seed
        Of the groups, and of the order.
    shuffled
        Take the images in a seeded random order instead of the list's, whose head is no sample of it.
    """

    source: ImageSource
    shard: Shard
    groups: int
    seed: int
    shuffled: bool = False

    @property
    def total(self) -> int | None:
        """How many images this shard takes, None if only the end will tell."""
        return None if self.source.total is None else len(self._places)

    @property
    def _places(self) -> range:
        end = _ENDLESS if self.source.total is None else self.source.total
        return range(self.shard.index, end, self.shard.count)

    @cached_property
    def _order(self) -> Sequence[int]:
        """From a place to the image's number in the source's list."""
        if not self.shuffled:
            return range(_ENDLESS)
        if self.source.total is None:
            raise ComputeError("a random order needs images of which the number is known; give a dataset")
        # Of its own stream: the groups are drawn by the same seed.
        drawn: list[int] = np.random.default_rng([self.seed, 1]).permutation(self.source.total).tolist()
        return drawn

    @cached_property
    def names(self) -> Sequence[str]:
        """Names of all images, of all shards, in order; empty if only reading them will tell."""
        listed = self.source.names
        return [listed[self._order[place]] for place in range(len(listed))] if self.shuffled else listed

    def begins_with(self, places: Sequence[int]) -> bool:
        """Whether these are the first places of this shard, so that the rest can follow."""
        return list(places) == list(self._places[: len(places)])

    def items(self, workers: int, start: int = 0) -> Iterator[ImageItem]:
        """Yield this shard's images from its number `start` on, read by so many processes."""
        places = self._places[start:]
        wanted = [self._order[place] for place in places] if self.shuffled else places
        groups = islice(self._deal(), places.start, None, places.step)
        items = self.source.items(workers, wanted)
        return (ImageItem(*step) for step in zip(items, places, groups, strict=False))

    def _deal(self) -> Iterator[int]:
        sequences = self.source.sequences
        if self.shuffled:
            listed = list(sequences)
            sequences = (listed[index] for index in self._order)
        return deal_groups(sequences, max(1, self.groups), self.seed)
