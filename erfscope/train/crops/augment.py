"""Cut crops from images and labels, scaled, flipped and distorted at random.

Every random number comes from the generator that is handed in, so that the same one gives the same crop.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from erfscope.datasets import IGNORE
from erfscope.datasets.layout import Pixels
from erfscope.train.crops.photometric import distort
from erfscope.train.recipes.recipe import AugmentRecipe

_TRIALS = 10
_BILINEAR, _NEAREST = Image.Resampling.BILINEAR, Image.Resampling.NEAREST


@dataclass(frozen=True)
class Cutter:
    """Makes crops of one size.

    Attributes
    ----------
    recipe
        Which augmentations are applied.
    size
        (H, W) of the crops, px.
    fill
        (R, G, B) in 0 to 255 of pixels outside the image; the label is `IGNORE` there.
    """

    recipe: AugmentRecipe
    size: tuple[int, int]
    fill: tuple[int, int, int]

    def cut(self, image: Image.Image, label: Image.Image, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        """Cut one crop.

        Parameters
        ----------
        image, label
            Of modes RGB and L, and of one size.
        rng
            Source of all random numbers.

        Returns
        -------
        image, label
            (H, W, 3) and (H, W) uint8.
        """
        height, width = self.size
        if self.recipe.fit == "resize":
            image, label = image.resize((width, height), _BILINEAR), label.resize((width, height), _NEAREST)
        else:
            image, label = self._crop(image, label, rng)
        if rng.random() < self.recipe.flip:
            image, label = (each.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for each in (image, label))
        if self.recipe.photometric:
            image = distort(image, rng)
        return self._padded(image, label)

    def _crop(
        self, image: Image.Image, label: Image.Image, rng: np.random.Generator
    ) -> tuple[Image.Image, Image.Image]:
        low, high = self.recipe.scale
        size = scaled_size(image.size, self.recipe.frame, rng.uniform(low, high))
        box = self._place(size, rng)
        for _ in range(_TRIALS if self.recipe.category_ratio < 1 else 0):
            piece = scaled_piece(label, size, box, _NEAREST)
            if is_varied(piece, self.recipe.category_ratio):
                break
            box = self._place(size, rng)
        return scaled_piece(image, size, box, _BILINEAR), scaled_piece(label, size, box, _NEAREST)

    def _place(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Draw (left, top, right, bottom) of a crop of an image of (width, height), as large as there is."""
        (width, height), (wanted_height, wanted_width) = size, self.size
        top = int(rng.integers(0, max(height - wanted_height, 0) + 1))
        left = int(rng.integers(0, max(width - wanted_width, 0) + 1))
        return left, top, min(left + wanted_width, width), min(top + wanted_height, height)

    def _padded(self, image: Image.Image, label: Image.Image) -> tuple[Pixels, Pixels]:
        """Fill up at the right and at the bottom, as mmsegmentation does."""
        height, width = self.size
        pixels, classes = np.asarray(image), np.asarray(label)
        if (image.height, image.width) == self.size:
            return pixels, classes
        full = np.empty((height, width, 3), np.uint8)
        full[:] = self.fill
        full[: image.height, : image.width] = pixels
        marked = np.full((height, width), IGNORE, np.uint8)
        marked[: image.height, : image.width] = classes
        return full, marked


def scaled_size(size: tuple[int, int], frame: tuple[int, int] | None, scale: float) -> tuple[int, int]:
    """Return the (width, height) of an image of (width, height), brought into a frame and scaled.

    `frame` is (long, short) side, px: the image gets the largest size at which it fits into the scaled frame,
    in either orientation, with its aspect ratio kept. None is a frame of the image's own size.
    """
    long, short = frame or (max(size), min(size))
    factor = min(int(long * scale) / max(size), int(short * scale) / min(size))
    width, height = (max(1, int(side * factor + 0.5)) for side in size)
    return width, height


def scaled_piece(
    image: Image.Image, size: tuple[int, int], box: tuple[int, int, int, int], resample: Image.Resampling
) -> Image.Image:
    """Scale an image to (width, height) and cut (left, top, right, bottom) out, computing that box only."""
    if size == image.size:
        return image.crop(box)
    (width, height), (left, top, right, bottom) = size, box
    across, down = image.width / width, image.height / height
    source = (
        left * across,
        top * down,
        min(right * across, image.width),  # rounding may carry an edge out of the image
        min(bottom * down, image.height),
    )
    return image.resize((right - left, bottom - top), resample, box=source)


def is_varied(label: Image.Image, ratio: float) -> bool:
    """Whether there is more than one class, and none fills `ratio` or more of the pixels that have one."""
    counts = [count for count in label.histogram()[:IGNORE] if count]
    return len(counts) > 1 and max(counts) < ratio * sum(counts)
