"""A dataset as an ordered list of samples, ready for the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from erfscope.datasets.decode import read_image
from erfscope.datasets.fit_to_size import fit_pair
from erfscope.datasets.labels import read_label
from erfscope.datasets.layout import DatasetLayout, Pixels
from erfscope.datasets.listing import Entry
from erfscope.errors import ImageError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green and blue, of pixel values in 0 to 1."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of red, green and blue, of pixel values in 0 to 1."""


MOST_SCENES = 100_000
"""The most images of a synthetic split: five digits in a name keep names in the order of numbers."""


@dataclass(frozen=True)
class Sample:
    """One image, ready for the network.

    Attributes
    ----------
    image
        (3, H, W) float32: RGB in 0 to 1, minus the mean, divided by the standard deviation.
    label
        (H, W) int64 classes, 255 for pixels without a class; None if there is no label.
    name
        POSIX path relative to the dataset's folder, or a synthetic image's name.
    """

    image: torch.Tensor
    label: torch.Tensor | None
    name: str


class SampleSource(Protocol):
    """The ordered list of all images of a split, of which a dataset uses all or some."""

    @property
    def names(self) -> Sequence[str]:
        """Name of each image."""

    @property
    def sequences(self) -> Sequence[str]:
        """Video sequence of each image; its own name if it has none."""

    @property
    def labeled(self) -> Sequence[bool]:
        """Whether each image comes with a label."""

    def load(self, index: int) -> tuple[Image.Image, Image.Image | None]:
        """Return image (mode RGB) and label (mode L) number `index`; raises `ImageError`."""

    def load_label(self, index: int) -> Image.Image | None:
        """Label number `index` alone; raises `ImageError`."""

    def resized(self, size: tuple[int, int]) -> "SampleSource":
        """Return the same list for samples of another (H, W); raises `DatasetError` if there can't be any."""


@dataclass(frozen=True)
class FileSource:
    """Images on disk: `entries` in their order, with paths below `root`."""

    root: Path
    entries: Sequence[Entry]
    labels: bool

    @property
    def names(self) -> Sequence[str]:
        """POSIX paths relative to `root`."""
        return [entry.image for entry in self.entries]

    @property
    def sequences(self) -> Sequence[str]:
        """Sequence of each image."""
        return [entry.sequence or entry.image for entry in self.entries]

    @property
    def labeled(self) -> Sequence[bool]:
        """Whether labels are asked for and the image has one."""
        return [self.labels and entry.label is not None for entry in self.entries]

    def load(self, index: int) -> tuple[Image.Image, Image.Image | None]:
        """Decode one image and, if there is one and labels are asked for, its label."""
        image, label = read_image(self.root / self.entries[index].image), self.load_label(index)
        if label is not None and label.size != image.size:
            path = self.root / (self.entries[index].label or "")
            sizes = f"{label.width}×{label.height} px, its image {image.width}×{image.height}"
            raise ImageError(f"{path}: the label is {sizes}")
        return image, label

    def load_label(self, index: int) -> Image.Image | None:
        """Decode one label, if there is one and labels are asked for."""
        entry = self.entries[index]
        if not self.labels or entry.label is None or entry.kind is None:
            return None
        return read_label(self.root / entry.label, entry.kind)

    def resized(self, size: tuple[int, int]) -> "FileSource":
        """Return itself: files are fitted to a size after they are read."""
        return self


@dataclass(frozen=True)
class SyntheticSource:
    """Synthetic images at the size that is asked for.

    The splits train and val show different scenes: they have different numbers.
    """

    layout: DatasetLayout
    split: str | None
    count: int
    seed: int
    size: tuple[int, int]
    labels: bool
    options: Mapping[str, Any]

    @property
    def names(self) -> Sequence[str]:
        """Names such as leaves-00012, or leaves-train-00012."""
        prefix = self.layout.name.removeprefix("synthetic-") + ("-train" if self.split == "train" else "")
        return [f"{prefix}-{index:05d}" for index in range(self.count)]

    @property
    def sequences(self) -> Sequence[str]:
        """The names, because no two images belong together."""
        return self.names

    @property
    def labeled(self) -> Sequence[bool]:
        """Whether labels are asked for."""
        return [self.labels] * self.count

    def load(self, index: int) -> tuple[Image.Image, Image.Image | None]:
        """Draw one image and its label."""
        if self.layout.draw is None:
            raise TypeError(f"{self.layout.name} isn't synthetic")
        number = index + (MOST_SCENES if self.split == "train" else 0)
        image, label = self.layout.draw(self.seed, number, self.size, **self.options)
        return Image.fromarray(image), Image.fromarray(label) if self.labels else None

    def load_label(self, index: int) -> Image.Image | None:
        """Draw one image for its label."""
        return self.load(index)[1]

    def resized(self, size: tuple[int, int]) -> "SyntheticSource":
        """Return the same scenes drawn at another size, if the layout can draw them."""
        if self.layout.check:
            self.layout.check(size, self.options)
        return replace(self, size=size)


@dataclass(frozen=True, eq=False)
class ImageDataset(Dataset[Sample]):
    """A map-style dataset that `open_dataset` returns. It can be pickled, for worker processes.

    Attributes
    ----------
    name
        The layout's name.
    root
        The layout's own folder; None for synthetic images.
    split
        The layout's own name of the split; None if it has no splits.
    source
        All images of the split.
    chosen
        Indices in `source`, ascending, of the images used.
    classes
        Class names in the order of their label; empty without labels.
    size
        (H, W) of every sample, px.
    fit
        How images are fitted to that size, one of `FITS`.
    seed
        Seed of the subset, of random crops and of synthetic images.
    mean, std
        Mean and standard deviation of red, green and blue, for pixel values in 0 to 1.
    channel_order
        Order of the samples' channels, "rgb" or "bgr".
    options
        All options of a synthetic dataset.
    """

    name: str
    root: str | None
    split: str | None
    source: SampleSource = field(repr=False)
    chosen: tuple[int, ...] = field(repr=False)
    classes: tuple[str, ...]
    size: tuple[int, int]
    fit: str
    seed: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str = "rgb"
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the images, in order."""
        names = self.source.names
        return tuple(names[index] for index in self.chosen)

    @cached_property
    def sequences(self) -> tuple[str, ...]:
        """Video sequence of each image; its own name if it has none."""
        sequences = self.source.sequences
        return tuple(sequences[index] for index in self.chosen)

    @cached_property
    def unlabeled(self) -> tuple[str, ...]:
        """Names of the images without a label, for training and scoring; no file is opened."""
        labeled = self.source.labeled
        names = self.source.names
        return tuple(names[index] for index in self.chosen if not labeled[index])

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Sample:
        """Return sample number `index`; raises `ImageError` for a broken image, `IndexError` past the end."""
        return self.to_sample(index, *self.read(index))

    def read(self, index: int) -> tuple[Pixels, Pixels | None]:
        """Return image number `index` before it is normalized, the small form that workers send.

        Returns
        -------
        image
            (H, W, 3) uint8 RGB.
        label
            (H, W) uint8, or None.

        Raises
        ------
        ImageError
            If the image or its label is broken.
        """
        place = self.chosen[index]
        image, label = fit_pair(*self.source.load(place), self.size, self.fit, (self.seed, place))
        # Copies, because tensors need memory that may be written to.
        return np.array(image), None if label is None else np.array(label)

    def to_sample(self, index: int, image: Pixels, label: Pixels | None) -> Sample:
        """Normalize what `read` returned for the same `index`."""
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        pixels = (
            torch.from_numpy(image).permute(2, 0, 1).to(torch.float32, memory_format=torch.contiguous_format)
        )
        normalized = pixels.div_(255).sub_(mean).div_(std)
        return Sample(
            image=normalized if self.channel_order == "rgb" else normalized.flip(0),
            label=None if label is None else torch.from_numpy(label).to(torch.int64),
            name=self.names[index],
        )

    def describe(self) -> dict[str, Any]:
        """Return what a map file records, JSON-able; `available` counts all images of the split."""
        return {
            "name": self.name,
            "root": self.root,
            "split": self.split,
            "size": list(self.size),
            "fit": self.fit,
            "seed": self.seed,
            "images": len(self),
            "available": len(self.source.names),
            "mean": list(self.mean),
            "std": list(self.std),
            "channel_order": self.channel_order,
            **({"options": dict(self.options)} if self.options else {}),
        }
