"""From a dataset's name to an `ImageDataset`: every wish is checked here, before any image is read."""

import difflib
import math
import operator
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from erfscope import plugins
from erfscope.datasets.catalog import LAYOUTS
from erfscope.datasets.dataset import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    DrawnSource,
    FileSource,
    ImageDataset,
    Source,
)
from erfscope.datasets.fit import FITS
from erfscope.datasets.layout import Finder, Layout
from erfscope.datasets.plugged import PluggedDataset, open_plugged
from erfscope.environment import dataset_root
from erfscope.errors import DatasetError

# Names of drawn images have five digits, and their order is that of their names.
_MOST_SCENES = 100_000
# What a plug-in need not know of; labels are read where there are any, of a plug-in as of a layout.
_USUAL = {
    "root": None, "split": "val", "size": None, "fit": "center-crop", "images": None, "seed": 0,
    "mean": IMAGENET_MEAN, "std": IMAGENET_STD, "channel_order": "rgb",
}  # fmt: skip


def open_dataset(
    name: str,
    *,
    root: str | os.PathLike[str] | None = None,
    split: str = "val",
    size: int | Sequence[int] | None = None,
    fit: str = "center-crop",
    images: int | None = None,
    seed: int = 0,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    channel_order: str = "rgb",
    labels: bool = True,
) -> ImageDataset | PluggedDataset:
    """Open a dataset by the name of its layout, or of a plug-in. Lists its folders; reads no image.

    Parameters
    ----------
    name
        One of `LAYOUTS`, or of the entry-point group `erfscope.datasets`: such a plug-in is called with
        those of the arguments below that it takes, and must take those that are not at their default.
    root
        The folder it lies in; by default the folder `name` in $ERFSCOPE_DATA. Unused for synthetic images.
    split
        One of the layout's splits; unused where it has none.
    size
        Side or (height, width) of the samples, px; by default the layout's usual crop.
    fit
        How images come to that size, one of `FITS`.
    images
        Use a random subset of so many, in their order; for synthetic images, how many to draw.
    seed
        Of the subset, of random crops and of synthetic images; at least 0.
    mean, std
        Three numbers each, for R, G, B in 0 to 1, that the samples are normalized with.
    channel_order
        "rgb", or "bgr" for networks that take the channels so.
    labels
        Whether to read labels where there are any.

    Returns
    -------
    ImageDataset or PluggedDataset
        The images in the order of their names, or of the plug-in.

    Raises
    ------
    DatasetError
        If there is no such dataset, split or fit, the folder isn't there or isn't one of this layout, it
        holds no images or fewer than asked for, or a number is out of its range.
    """
    wishes = {
        "root": root, "split": split, "size": size, "fit": fit, "images": images, "seed": seed,
        "mean": tuple(mean), "std": tuple(std), "channel_order": channel_order, "labels": labels,
    }  # fmt: skip
    brought = plugins.names(plugins.DATASETS) if name not in LAYOUTS else []
    if name in brought:
        return open_plugged(name, wishes, _USUAL | {"labels": labels})
    layout = LAYOUTS[_choose("dataset", name, (*LAYOUTS, *brought))]
    fit = _choose("fit", fit, FITS)
    height_width = layout.size if size is None else _size(size)
    if seed < 0:
        raise DatasetError(f"seed {seed}: expected a whole number, at least 0")
    source: Source
    if layout.find is None:
        count = layout.scenes if images is None else images
        _check_count(count, _MOST_SCENES, layout.name)
        folder, used_split, chosen = None, None, tuple(range(count))
        source = DrawnSource(layout, count, seed, height_width, labels)
    else:
        used_split = (
            _choose("split", layout.aliases.get(split, split), layout.splits) if layout.splits else None
        )
        source = _list_files(layout, layout.find, root, used_split, labels)
        folder, chosen = str(source.root), _subset(len(source.entries), images, seed, layout.name)
    return ImageDataset(
        name=layout.name,
        root=folder,
        split=used_split,
        source=source,
        chosen=chosen,
        classes=layout.classes,
        size=height_width,
        fit=fit,
        seed=seed,
        mean=_channels("mean", mean),
        std=_channels("std", std, positive=True),
        channel_order=_choose("channel order", channel_order, ("rgb", "bgr")),
    )


def _list_files(
    layout: Layout, find: Finder, root: str | os.PathLike[str] | None, split: str | None, labels: bool
) -> FileSource:
    folder = _root(layout, root)
    listing = find(folder, split or "")
    if not listing.entries:
        where = f"split {split} of {listing.root}" if split else str(listing.root)
        raise DatasetError(f"{where} holds no images; {layout.name} expects {layout.summary}")
    return FileSource(listing.root, sorted(listing.entries, key=lambda entry: entry.image), labels)


def _root(layout: Layout, root: str | os.PathLike[str] | None) -> Path:
    if root is None:
        root = dataset_root(layout.name)
        if root is None:
            raise DatasetError(
                f"{layout.name} needs its folder; pass --root FOLDER, or set ERFSCOPE_DATA to the folder"
                f" that holds {layout.name}/ ({layout.summary})"
            )
    folder = Path(root).expanduser().absolute()
    if not folder.is_dir():
        fact = "isn't a folder" if folder.exists() else "doesn't exist"
        raise DatasetError(
            f"{layout.name}: {folder} {fact}; pass --root FOLDER, or set ERFSCOPE_DATA to the folder"
            f" that holds {layout.name}/ ({layout.summary})"
        )
    return folder


def _choose(kind: str, word: str, choices: Iterable[str]) -> str:
    known = list(choices)
    if word in known:
        return word
    near = difflib.get_close_matches(word, known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise DatasetError(f"no {kind} {word!r}{hint}; there are: {', '.join(known)}")


def _size(size: int | Sequence[int]) -> tuple[int, int]:
    try:
        height, width = (
            operator.index(side) for side in (size if isinstance(size, Sequence) else (size, size))
        )
    except (TypeError, ValueError):
        raise DatasetError(f"size {size}: expected a side or (height, width), whole pixels") from None
    if min(height, width) < 1:
        raise DatasetError(f"size {size}: expected at least 1 px a side")
    return height, width


def _channels(what: str, values: Sequence[float], positive: bool = False) -> tuple[float, float, float]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)) or (positive and min(numbers) <= 0):
        raise DatasetError(
            f"{what} {values}: expected three {'positive ' if positive else ''}numbers, for R, G, B"
        )
    return numbers


def _check_count(images: int, available: int, name: str) -> None:
    if not 1 <= images <= available:
        raise DatasetError(f"{images} images of {name} asked for; ask for 1 to {available}")


def _subset(available: int, images: int | None, seed: int, name: str) -> tuple[int, ...]:
    if images is None:
        return tuple(range(available))
    _check_count(images, available, name)
    drawn = np.random.default_rng(seed).choice(available, size=images, replace=False)
    return tuple(sorted(drawn.tolist()))
