"""From a dataset's name to an `ImageDataset`: every wish is checked here, before any image is read."""

import difflib
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
    Source,
    SyntheticSource,
)
from erfscope.datasets.fit_to_size import FITS
from erfscope.datasets.layout import Layout
from erfscope.datasets.layout_catalog import LAYOUTS
from erfscope.datasets.listing import Listing
from erfscope.datasets.plugged import PluggedDataset, open_plugged, reopen_plugged
from erfscope.datasets.synthetic_options import choose_options
from erfscope.errors import DatasetError
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
    """Open a dataset by the name of its layout, or of a plug-in. Lists its folders; reads no image.

    Parameters
    ----------
    name
        One of `LAYOUTS`, or of the entry-point group `erfscope.datasets`: such a plug-in is called with
        those of the arguments below that it takes, and must take those that are not at their default.
    root
        The folder it lies in; by default the folder `name` in $ERFSCOPE_DATA. Unused for synthetic images.
    split
        One of the layout's splits; unused where it has none. Of synthetic images train and val are different
        scenes under the same seed.
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
    options
        What a synthetic layout can be asked for, by name; see `Layout.options`.

    Returns
    -------
    ImageDataset or PluggedDataset
        The images in the order of their names, or of the plug-in.

    Raises
    ------
    DatasetError
        If there is no such dataset, split, fit or option, the folder isn't there or isn't one of this layout,
        it holds no images, lacks some that its list names, or holds fewer than asked for, or a number is out
        of its range.
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
    source: Source
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


def list_split(layout: Layout, root: Path, split: str | None) -> Listing:
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


def choose_split(layout: Layout, split: str) -> str | None:
    """Find the layout's own word for a split; None where it has none."""
    return _choose("split", layout.aliases.get(split, split), layout.splits) if layout.splits else None


def choose_layout(name: str, others: Iterable[str] = ()) -> str:
    """Return the name if it is that of a layout or one of the others, or tell what there is."""
    return _choose("dataset", name, (*LAYOUTS, *others))


def _list_files(
    layout: Layout, root: str | os.PathLike[str] | None, split: str | None, labels: bool
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


def choose_root(layout: Layout, root: str | os.PathLike[str] | None) -> Path:
    """Return the folder of a layout on disk, by default that in $ERFSCOPE_DATA.

    Raises
    ------
    DatasetError
        If none is named, or it isn't there.
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
    near = difflib.get_close_matches(word, known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise DatasetError(f"no {kind} {word!r}{hint}; there are: {', '.join(known)}")


def choose_size(size: int | Sequence[int]) -> tuple[int, int]:
    """Return (height, width) of a side or a pair; raises `DatasetError` for anything but whole pixels."""
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
    """Draw so many of the places 0 to `available` - 1, ascending; all unless a number is asked for.

    Raises
    ------
    DatasetError
        If there are fewer.
    """
    if images is None:
        return tuple(range(available))
    _check_count(images, available, name)
    drawn = np.random.default_rng(seed).choice(available, size=images, replace=False)
    return tuple(sorted(drawn.tolist()))
