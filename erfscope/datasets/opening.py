"""Open a dataset by its name; every argument is checked before an image is read."""

import math
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from erfscope import plugins
from erfscope.datasets.dataset import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MOST_SCENES,
    FileSource,
    ImageDataset,
    SampleSource,
    SyntheticSource,
)
from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.layout_catalog import LAYOUTS
from erfscope.datasets.listing import Listing
from erfscope.datasets.plugged import PluggedDataset, open_plugged, reopen_plugged
from erfscope.datasets.synthetic_options import choose_options
from erfscope.errors import DatasetError, suggest
from erfscope.records.choices import FITS
from erfscope.system.environment import dataset_root


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
    options: Mapping[str, Any] | None = None,
) -> ImageDataset | PluggedDataset:
    """Open a dataset by its name: list its folders, but read no image.

    Parameters
    ----------
    name
        One of `LAYOUTS`, or of a plug-in (entry-point group `erfscope.datasets`). A plug-in is called with
        those of the arguments below that it takes, and must take all that aren't at their default.
    root
        The dataset's folder; by default the folder `name` in $ERFSCOPE_DATA. Unused for synthetic images.
    split
        One of the layout's splits; unused if it has none. The synthetic splits train and val are different
        scenes under the same seed.
    size
        Side or (height, width) of the samples, px; by default the layout's usual crop.
    fit
        How images are fitted to that size, one of `FITS`.
    images
        Number of images: a random subset, in its order, or that many synthetic ones; all by default.
    seed
        Seed of the subset, of random crops and of synthetic images; at least 0.
    mean, std
        Mean and standard deviation of red, green and blue, for pixel values in 0 to 1; by default ImageNet's.
    channel_order
        "rgb", or "bgr" for networks that take the channels in this order.
    labels
        Whether to read labels if there are any.
    options
        Options of a synthetic dataset, by name; see `DatasetLayout.options`.

    Returns
    -------
    ImageDataset or PluggedDataset
        Samples with `image` (3, H, W) float32, normalized, `label` (H, W) int64 or None, and `name`; in the
        order of the names, or of the plug-in.

    Raises
    ------
    DatasetError
        If there is no such dataset, split, fit or option; if the folder isn't there or has another layout,
        has no images or fewer than asked for, or lacks some that its list names; or if a number is out of its
        range.
    PluginError
        If a plug-in can't be imported or fails.

    Examples
    --------
    >>> import erfscope
    >>> images = erfscope.open_dataset("synthetic-leaves", size=65, images=4)
    >>> len(images), images.names[0]
    (4, 'leaves-00000')
    >>> sample = images[0]
    >>> sample.image.shape, sample.label.shape
    (torch.Size([3, 65, 65]), torch.Size([65, 65]))
    """
    given = {
        "root": root, "split": split, "size": size, "fit": fit, "images": images, "seed": seed,
        "mean": tuple(mean), "std": tuple(std), "channel_order": channel_order, "labels": labels,
        "options": options,
    }  # fmt: skip
    brought = plugins.names(plugins.DATASETS) if name not in LAYOUTS else []
    if name in brought:
        return open_plugged(name, given)
    layout = LAYOUTS[choose_layout(name, brought)]
    fit = _choose("fit", fit, FITS)
    height_width = layout.size if size is None else choose_size(size)
    if seed < 0:
        raise DatasetError(f"seed {seed}: expected a whole number, at least 0")
    used_split = choose_split(layout, split)
    used_options = choose_options(layout, options, height_width)
    source: SampleSource
    if layout.find is None:
        count = layout.scenes if images is None else images
        _check_count(count, MOST_SCENES, layout.name)
        folder, chosen = None, tuple(range(count))
        source = SyntheticSource(layout, used_split, count, seed, height_width, labels, used_options)
    else:
        source = _list_files(layout, root, used_split, labels)
        folder, chosen = str(source.root), draw_subset(len(source.entries), images, seed, layout.name)
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
        channel_order=_choose_channel_order(channel_order),
        options=used_options,
    )


def with_preprocessing(
    images: ImageDataset | PluggedDataset,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    channel_order: str | None = None,
    size: int | Sequence[int] | None = None,
) -> ImageDataset | PluggedDataset:
    """Return an open dataset with another normalization or size; no folder is listed again.

    Parameters
    ----------
    images
        A dataset of `open_dataset`. A plug-in, which crops and normalizes its samples itself, is called
        again if it was called with anything else.
    mean, std, channel_order, size
        As in `open_dataset`; None keeps what the dataset has.

    Raises
    ------
    DatasetError
        A number is out of its range, synthetic images can't be drawn at that size, or the plug-in doesn't
        take what is asked for.
    """
    given = {"mean": mean, "std": std, "channel_order": channel_order, "size": size}
    if isinstance(images, PluggedDataset):
        return reopen_plugged(images, {name: value for name, value in given.items() if value is not None})
    height_width = images.size if size is None else choose_size(size)
    return replace(
        images,
        source=images.source.resized(height_width),
        size=height_width,
        mean=images.mean if mean is None else _channels("mean", mean),
        std=images.std if std is None else _channels("std", std, positive=True),
        channel_order=_choose_channel_order(channel_order or images.channel_order),
    )


def list_split(layout: DatasetLayout, root: Path, split: str | None) -> Listing:
    """List one split of a layout on disk, its images in the order of their names.

    Raises
    ------
    DatasetError
        If the folder isn't one of this layout.
    """
    if layout.find is None:
        raise TypeError(f"{layout.name} isn't on disk")
    listing = layout.find(root, split or "")
    return replace(listing, entries=sorted(listing.entries, key=lambda entry: entry.image))


def choose_split(layout: DatasetLayout, split: str) -> str | None:
    """Return the layout's own name of a split; None if it has no splits.

    Raises
    ------
    DatasetError
        If there is no such split.
    """
    return _choose("split", layout.aliases.get(split, split), layout.splits) if layout.splits else None


def choose_layout(name: str, others: Iterable[str] = ()) -> str:
    """Return the name if a layout or one of the others has it.

    Raises
    ------
    DatasetError
        If none has.
    """
    return _choose("dataset", name, (*LAYOUTS, *others))


def _list_files(
    layout: DatasetLayout, root: str | os.PathLike[str] | None, split: str | None, labels: bool
) -> FileSource:
    listing = list_split(layout, choose_root(layout, root), split)
    where = f"split {split} of {listing.root}" if split else str(listing.root)
    if listing.missing_images:
        missing, named = listing.missing_images, len(listing.entries) + len(listing.missing_images)
        raise DatasetError(
            f"{missing[0]} isn't there ({len(missing)} of {named} missing), though {where} names it; "
            "unpack the whole archive"
        )
    if not listing.entries:
        raise DatasetError(f"{where} holds no images; {layout.name} expects {layout.summary}")
    return FileSource(listing.root, listing.entries, labels)


def choose_root(layout: DatasetLayout, root: str | os.PathLike[str] | None) -> Path:
    """Return the folder of a layout on disk, by default the one in $ERFSCOPE_DATA.

    Raises
    ------
    DatasetError
        If no folder is given, or it isn't there.
    """
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
    raise DatasetError(f"no {kind} {word!r}; {suggest(word, known)}")


def choose_size(size: int | Sequence[int]) -> tuple[int, int]:
    """Return (height, width) for a side or a pair.

    Raises
    ------
    DatasetError
        If it isn't one or two whole numbers of at least 1.
    """
    try:
        height, width = (
            operator.index(side) for side in (size if isinstance(size, Sequence) else (size, size))
        )
    except (TypeError, ValueError):
        raise DatasetError(f"size {size}: expected a side or (height, width), whole pixels") from None
    if min(height, width) < 1:
        raise DatasetError(f"size {size}: expected at least 1 px a side")
    return height, width


def _choose_channel_order(order: str) -> str:
    return _choose("channel order", order, ("rgb", "bgr"))


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


def draw_subset(available: int, images: int | None, seed: int, name: str) -> tuple[int, ...]:
    """Draw a random subset of the indices 0 to `available` - 1, ascending; all if `images` is None.

    Raises
    ------
    DatasetError
        If there are fewer, or `images` is less than 1.
    """
    if images is None:
        return tuple(range(available))
    _check_count(images, available, name)
    drawn = np.random.default_rng(seed).choice(available, size=images, replace=False)
    return tuple(sorted(drawn.tolist()))
