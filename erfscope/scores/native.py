"""Images of a dataset at their own size, instead of fitted to one size."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.datasets import ImageDataset

Pixels = NDArray[np.uint8]


class NativeImages(ImageDataset):
    """A dataset whose samples have the size of their images; synthetic ones that of their scenes."""

    def read(self, index: int) -> tuple[Pixels, Pixels | None]:
        """Read image `index`, (H, W, 3), and its label, (H, W) or None; see `ImageDataset.read`."""
        image, label = self.source.load(self.chosen[index])
        return np.array(image), None if label is None else np.array(label)

    def describe(self) -> dict[str, Any]:
        """Return the JSON form; images on disk have no common size and no fit."""
        return super().describe() | ({} if self.root is None else {"size": None, "fit": None})


def at_native_size(dataset: ImageDataset) -> NativeImages:
    """Return a dataset of the same images at their own size."""
    return NativeImages(**{field.name: getattr(dataset, field.name) for field in fields(dataset)})
