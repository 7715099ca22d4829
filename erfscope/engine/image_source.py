"""Opens whatever the caller gives as images: a dataset, or an iterable of samples or tensors."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import torch

from erfscope.datasets import ImageDataset, PluggedDataset, Sample, SkippedImage, every_nth, stream
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
        From a number of loader processes and the indices of the wanted images to the images in that order.
        An iterable of the caller's takes a range alone.
    parallel
        Whether `items` can use loader processes; an iterable of the caller's can't.
    sequences
        For each image in order, the sequence that it belongs to.
    names
        Names of all images in order; empty if only reading them tells.
    total
        Number of images, None if only the end tells.
    classes
        Class names; empty if unknown.
    description
        JSON-able, for the provenance.
    """

    size: tuple[int, int]
    items: Callable[[int, Sequence[int]], Iterator[Sample | SkippedImage]]
    parallel: bool
    sequences: Iterable[str]
    names: Sequence[str]
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
            items=lambda workers, indices: stream(images, indices=indices, workers=workers),
            parallel=True,
            sequences=images.sequences,
            names=images.names,
            total=len(images),
            classes=images.classes,
            description=images.describe(),
        )
    if isinstance(images, PluggedDataset):
        return ImageSource(
            size=images.size,
            items=lambda workers, indices: images.items(indices),
            parallel=False,
            sequences=[str(index) for index in range(len(images))],
            names=(),
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
        items=lambda workers, indices: every_nth(chain(head, named), indices),
        parallel=False,
        sequences=map(str, count()),
        names=(),
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
