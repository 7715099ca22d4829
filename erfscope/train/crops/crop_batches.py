"""Batches of crops, read ahead by worker processes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from erfscope.datasets import IGNORE, ImageDataset
from erfscope.datasets.dataset import SampleSource
from erfscope.datasets.layout import Pixels
from erfscope.datasets.streaming import read_ahead
from erfscope.errors import ImageError, TrainError
from erfscope.train.crops.augment import Cutter
from erfscope.train.crops.crop_order import CropOrder, ProcessShare

#: Images (N, 3, H, W), normalized, and labels (N, H, W) int64.
Batch = tuple[torch.Tensor, torch.Tensor]
Pair = tuple[Image.Image, Image.Image]
# Arrays of bytes go through a pipe; see `datasets.streaming`.
_Crop = tuple[Pixels, Pixels]


@dataclass(frozen=True)
class _BadImage:
    reason: str


@dataclass(frozen=True)
class Crops(Dataset[_Crop | _BadImage]):
    """The crop at each position of the run.

    Attributes
    ----------
    dataset, order, cutter
        Images, their order, and how they are cropped.
    ignore
        Class whose pixels are labeled `IGNORE` instead.
    cache_bytes
        Memory for decoded images; those that fit are decoded once.
    """

    dataset: ImageDataset
    order: CropOrder
    cutter: Cutter
    ignore: int
    cache_bytes: int
    _kept: dict[int, Pair] = field(default_factory=dict, repr=False)

    def __getitem__(self, position: int) -> _Crop | _BadImage:
        visit = self.order.visit(position)
        try:
            return self.cutter.cut(*self._load(visit.place), visit.generator())
        except (ImageError, TrainError) as error:
            return _BadImage(str(error))

    def _load(self, place: int) -> Pair:
        if place in self._kept:
            return self._kept[place]
        pair = read_pair(self.dataset.source, place, len(self.dataset.classes))
        if self.ignore != IGNORE:
            pair = pair[0], pair[1].point([IGNORE if value == self.ignore else value for value in range(256)])
        # All of a dataset are about as large, and each comes as often: when it is full it stays as it is.
        if (len(self._kept) + 1) * pair[0].width * pair[0].height * 4 <= self.cache_bytes:
            self._kept[place] = pair
        return pair


def read_pair(source: SampleSource, place: int, num_classes: int) -> Pair:
    """Read an image and its label.

    Raises
    ------
    ImageError
        One of them can't be read, or their sizes differ.
    TrainError
        There is no label, or it holds a value that isn't a class.
    """
    image, label = source.load(place)
    if label is None:
        raise TrainError(f"{source.names[place]} has no label; training needs one for every image")
    counts = label.histogram()
    wrong = [str(value) for value in range(num_classes, IGNORE) if counts[value]]
    if wrong:
        raise TrainError(
            f"the label of {source.names[place]} holds {', '.join(wrong[:5])}; expected classes 0 to "
            f"{num_classes - 1}, or {IGNORE} for none"
        )
    return image, label


def epoch_places(dataset: ImageDataset, hard_classes: Sequence[str], times: int) -> tuple[int, ...]:
    """List the images of one epoch by index: each once, those with a hard class `times` times.

    Raises
    ------
    TrainError
        The dataset doesn't have one of the classes, or has images without labels.
    """
    unknown = [name for name in hard_classes if name not in dataset.classes]
    if unknown:
        raise TrainError(f"{dataset.name} has no class {unknown[0]!r}; it has {', '.join(dataset.classes)}")
    source = dataset.source
    labeled = source.labeled
    bare = [place for place in dataset.chosen if not labeled[place]]
    if bare:
        raise TrainError(
            f"{len(bare)} of {len(dataset)} images of {dataset.name} have no label (first: "
            f"{source.names[bare[0]]}); 'erfscope datasets check' lists them"
        )
    if not hard_classes:
        return dataset.chosen
    wanted = [dataset.classes.index(name) for name in hard_classes]
    hard = [place for place in dataset.chosen if _holds(source.load_label(place), wanted)]
    return (*dataset.chosen, *hard * (times - 1))


def _holds(label: Image.Image | None, classes: Sequence[int]) -> bool:
    counts = [] if label is None else label.histogram()
    return any(counts[each] for each in classes if counts)


@dataclass(frozen=True)
class Normalizer:
    """Turns bytes into the network's input, with the arithmetic of `ImageDataset.to_sample`."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    device: torch.device
    dtype: torch.dtype
    channels_last: bool

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(N, H, W, 3) uint8 → (N, 3, H, W), in channels-last memory or contiguous."""
        mean, std = (torch.tensor(v, device=self.device).view(3, 1, 1) for v in (self.mean, self.std))
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        pixels = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout)
        return pixels.div_(255).sub_(mean).div_(std).to(self.dtype)


def load_batches(
    crops: Crops, share: ProcessShare, iterations: tuple[int, int], workers: int, normalize: Normalizer
) -> Iterator[Batch]:
    """Yield the batches of this process, for the iterations from the first up to the last, exclusive.

    Raises
    ------
    TrainError
        An image can't be used; the message names it.
    """
    positions = list(share.positions(*iterations))
    items = read_ahead(crops, positions, workers)
    pinned = normalize.device.type == "cuda"
    for _ in range(math.ceil(len(positions) / share.batch)):
        drawn = [_checked(next(items)) for _ in range(share.batch)]
        images, labels = (torch.from_numpy(np.stack(each)) for each in zip(*drawn, strict=True))
        if pinned:
            images, labels = images.pin_memory(), labels.pin_memory()
        images, labels = (each.to(normalize.device, non_blocking=pinned) for each in (images, labels))
        yield normalize(images), labels.to(torch.int64)


def _checked(item: _Crop | _BadImage) -> _Crop:
    if isinstance(item, _BadImage):
        raise TrainError(item.reason)
    return item
