"""Find what is missing or odd in a dataset before a training run is wasted on it."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from erfscope import plugins
from erfscope.datasets.dataset import MOST_SCENES, SyntheticSource
from erfscope.datasets.decode import read_image
from erfscope.datasets.labels import IGNORE, decode_label
from erfscope.datasets.layout import DatasetLayout, Pixels
from erfscope.datasets.layout_catalog import LAYOUTS
from erfscope.datasets.listing import Entry, Listing
from erfscope.datasets.opening import (
    choose_layout,
    choose_root,
    choose_size,
    choose_split,
    draw_subset,
    list_split,
)
from erfscope.datasets.synthetic_options import choose_options
from erfscope.errors import DatasetError, ImageError
from erfscope.records.dataset_check import KINDS, Finding, SplitCheck

ShowProgress = Callable[[int, int], None]
OpenProgress = Callable[[str, int], AbstractContextManager[ShowProgress]]
Size = tuple[int, int]
Counts = npt.NDArray[np.int64]


def usual_splits(name: str) -> tuple[str, ...]:
    """Return the splits that are checked by default: those of training and scoring.

    Raises
    ------
    DatasetError
        If there is no such dataset, or it is a plug-in's.
    """
    return ("train", "val") if _layout(name).splits else ("",)


def check_split(
    name: str,
    *,
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    size: int | Sequence[int] | None = None,
    images: int | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    progress: OpenProgress | None = None,
) -> SplitCheck:
    """Check one split of a dataset: whether images and labels pair up, and what the files hold.

    Parameters
    ----------
    name, root, split, seed, options
        As in `open_dataset`.
    size
        Side or (height, width) of the crops that are wanted, px; by default the layout's usual crop.
    images
        How many to read, a random subset; by default, or if there are fewer, all.
    progress
        Opens a display for a label and a number of images, which is called with the numbers of images that
        were read and that couldn't be.

    Returns
    -------
    SplitCheck
        With its findings; training can't run with the `fatal` ones.

    Raises
    ------
    DatasetError
        If there is no such dataset, split or folder, or the dataset is a plug-in's.
    """
    layout = _layout(name)
    if seed < 0 or (images is not None and images < 1):
        raise DatasetError(
            f"{images} images, seed {seed}: expected at least 1 image, and a seed of at least 0"
        )
    crop, used_split = choose_size(layout.size if size is None else size), choose_split(layout, split)
    label = f"{name} {used_split or ''}".strip()
    scan = _SplitScan(crop, lambda total: (progress or _no_progress)(label, total))
    used_options = choose_options(layout, options, crop)
    folder = None
    if layout.find is None:
        count = layout.scenes if images is None else min(images, MOST_SCENES)
        scan.look_at_synthetic(SyntheticSource(layout, used_split, count, seed, crop, True, used_options))
    else:
        folder = _look_on_disk(scan, layout, choose_root(layout, root), used_split, images, seed)
    scan.look_for_classes(layout.classes)
    return SplitCheck(
        dataset=layout.name,
        root=None if folder is None else str(folder),
        split=used_split,
        crop=crop,
        classes=layout.classes,
        **scan.result(len(layout.classes)),
    )


def _look_on_disk(
    scan: "_SplitScan", layout: DatasetLayout, folder: Path, split: str | None, images: int | None, seed: int
) -> Path:
    try:
        listing = list_split(layout, folder, split)
    except DatasetError as error:
        scan.note("split not there", split or layout.name, str(error))
        return folder
    scan.look_at_listing(listing, bool(layout.classes))
    there = len(listing.entries)
    scan.look_at_files(listing, there if images is None else min(images, there), seed)
    return listing.root


@contextmanager
def _no_progress(label: str, total: int) -> Iterator[ShowProgress]:
    yield lambda done, broken: None


def _layout(name: str) -> DatasetLayout:
    if name not in LAYOUTS and name in plugins.names(plugins.DATASETS):
        raise DatasetError(
            f"{name} is a plug-in, which reads its files itself; check takes built-in datasets"
        )
    return LAYOUTS[choose_layout(name)]


@dataclass
class _SplitScan:
    """What a split holds: findings, image sizes, and pixels by class."""

    crop: Size
    progress: Callable[[int], AbstractContextManager[ShowProgress]]
    images: int = 0
    labels: int = 0
    read: int = 0
    sizes: set[Size] = field(default_factory=set)
    pixels: Counts = field(default_factory=lambda: np.zeros(256, np.int64))
    images_with: Counts = field(default_factory=lambda: np.zeros(256, np.int64))
    cases: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def note(self, kind: str, what: str, detail: str = "") -> None:
        self.cases[kind].append((what, detail))

    def look_at_synthetic(self, source: SyntheticSource) -> None:
        self.images = self.labels = source.count
        with self.progress(source.count) as show:
            for index, name in enumerate(source.names):
                image, label = source.load(index)
                self.read += 1
                self._count_image(name, (image.height, image.width))
                self._count_label(name, np.asarray(label))
                show(self.read, 0)

    def look_at_listing(self, listing: Listing, has_classes: bool) -> None:
        self.images = len(listing.entries)
        self.labels = sum(entry.label is not None for entry in listing.entries)
        if not listing.entries:
            self.note("no images", ".", f"{listing.root} holds none of this split")
        for image in listing.missing_images:
            self.note("image not there", image, "the split's list names it")
        for label in listing.stray_labels:
            self.note("label without image", label)
        for entry in listing.entries:
            if has_classes and entry.label is None:
                self.note("image without label", entry.image)

    def look_at_files(self, listing: Listing, count: int, seed: int) -> None:
        broken = 0
        with self.progress(count) as show:
            for place in draw_subset(len(listing.entries), count, seed, "the split") if count else ():
                broken += not self._look_at_pair(listing.root, listing.entries[place])
                show(self.read - broken, broken)

    def _look_at_pair(self, root: Path, entry: Entry) -> bool:
        self.read += 1
        image = label = None
        try:
            image = read_image(root / entry.image)
            self._count_image(entry.image, (image.height, image.width))
        except ImageError as error:
            self.note("image unreadable", entry.image, _reason(error, root / entry.image))
        if entry.label is None or entry.kind is None:
            return image is not None
        try:
            label = decode_label(root / entry.label, entry.kind)
        except ImageError as error:
            self.note("label unreadable", entry.label, _reason(error, root / entry.label))
            return False
        self._count_label(entry.label, label.classes)
        if label.unknown_values:
            self.note("label outside the classes", entry.label, label.unknown_values)
        if image and label.classes.shape != (image.height, image.width):
            sizes = f"{_px(label.classes.shape)}, its image {_px((image.height, image.width))}"
            self.note("label and image of different size", entry.label, sizes)
        return image is not None

    def _count_image(self, name: str, size: Size) -> None:
        self.sizes.add(size)
        if size[0] < self.crop[0] or size[1] < self.crop[1]:
            self.note("image smaller than the crop", name, f"{_px(size)}, the crop is {_px(self.crop)}")

    def _count_label(self, name: str, classes: Pixels) -> None:
        counts = np.bincount(classes.ravel(), minlength=256)
        self.pixels += counts
        self.images_with += counts > 0
        if counts[IGNORE] == classes.size:
            self.note("label without any class", name, "every pixel counts as none")

    def look_for_classes(self, names: Sequence[str]) -> None:
        for name, count in zip(names, self.pixels, strict=False):
            if self.pixels.any() and not count:
                self.note("class that never occurs", name)

    def result(self, num_classes: int) -> dict[str, Any]:
        by_area = sorted(self.sizes, key=lambda size: (size[0] * size[1], size))
        return {
            "images": self.images,
            "labels": self.labels,
            "read": self.read,
            "smallest": by_area[0] if by_area else None,
            "largest": by_area[-1] if by_area else None,
            "pixels": tuple(self.pixels[:num_classes].tolist()),
            "images_with": tuple(self.images_with[:num_classes].tolist()),
            "ignored": int(self.pixels[IGNORE]),
            "findings": tuple(Finding(kind, tuple(cases)) for kind, cases in self.cases.items() if cases),
        }


def _reason(error: ImageError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _px(size: Sequence[int]) -> str:
    return f"{size[0]}×{size[1]} px"
