"""The images of a dataset as they are, instead of fitted to one size."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.datasets import ImageDataset

Pixels = NDArray[np.uint8]


class NativeImages(ImageDataset):
    """A dataset whose samples have each its image's own size; drawn ones that at which they are drawn."""

    def read(self, index: int) -> tuple[Pixels, Pixels | None]:
        """Image number `index`, (H, W, 3), and its label, (H, W) or None; see `ImageDataset.read`."""
        image, label = self.source.load(self.chosen[index])
        return np.array(image), None if label is None else np.array(label)

    def describe(self) -> dict[str, Any]:
        """Tell what is recorded: of images on disk no one size, and no fit."""
        return super().describe() | ({} if self.root is None else {"size": None, "fit": None})


def at_native_size(dataset: ImageDataset) -> NativeImages:
    """Return the same images unfitted."""
    return NativeImages(**{field.name: getattr(dataset, field.name) for field in fields(dataset)})
