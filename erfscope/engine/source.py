"""Makes one kind of stream of whatever the caller hands in as images."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import torch

from erfscope.datasets import ImageDataset, PluggedDataset, Sample, SkippedImage, stream
from erfscope.errors import ComputeError

Images = ImageDataset | Iterable[Sample | SkippedImage | torch.Tensor]


@dataclass(frozen=True)
class ImageSource:
    """Images in a fixed order, with what is known of them before they are read.

    Attributes
    ----------
    size
        (H, W) of every image.
    items
        From a number of loader processes to the images.
    parallel
        Whether `items` can use loader processes; an iterable of the caller's can't.
    sequences
        For each image in order, the sequence that it belongs to.
    total
        How many there are, None if only the end will tell.
    classes
        Class names; empty if unknown.
    description
        JSON-able, for the provenance.
    """

    size: tuple[int, int]
    items: Callable[[int], Iterator[Sample | SkippedImage]]
    parallel: bool
    sequences: Iterable[str]
    total: int | None
    classes: tuple[str, ...]
    description: Mapping[str, Any]


def open_source(images: Images) -> ImageSource:
    """Open a dataset, or an iterable of samples or bare (3, H, W) tensors.

    Raises
    ------
    ComputeError
        An empty iterable, or something in it that is no image.
    """
    if isinstance(images, ImageDataset):
        return ImageSource(
            size=images.size,
            items=lambda workers: stream(images, workers=workers),
            parallel=True,
            sequences=images.sequences,
            total=len(images),
            classes=images.classes,
            description=images.describe(),
        )
    if isinstance(images, PluggedDataset):
        return ImageSource(
            size=images.size,
            items=lambda workers: iter(images),
            parallel=False,
            sequences=map(str, count()),
            total=len(images),
            classes=images.classes,
            description=images.describe(),
        )
    total = len(images) if isinstance(images, Sized) else None
    named = (_as_sample(item, index) for index, item in enumerate(images))
    head: list[Sample | SkippedImage] = []
    size = None
    for item in named:  # up to the first image that can be read, which tells the size
        head.append(item)
        if isinstance(item, Sample):
            size = (item.image.shape[1], item.image.shape[2])
            break
    if size is None:
        raise ComputeError(f"{len(head)} images were given and none can be read; give at least one image")
    return ImageSource(
        size=size,
        items=lambda workers: chain(head, named),
        parallel=False,
        sequences=map(str, count()),
        total=total,
        classes=(),
        description={"name": f"given {type(images).__name__}", "size": list(size)},
    )


def _as_sample(item: Sample | SkippedImage | torch.Tensor, index: int) -> Sample | SkippedImage:
    if not isinstance(item, torch.Tensor):
        return item
    if item.ndim != 3 or item.shape[0] != 3:
        raise ComputeError(f"image {index} has shape {list(item.shape)}; expected (3, H, W), normalized")
    return Sample(item, None, f"image-{index:05d}")
