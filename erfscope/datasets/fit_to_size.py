"""Fit an image of any size, and its label, to the network's input size."""

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]


def fit_pair(
    image: Image.Image,
    label: Image.Image | None,
    size: tuple[int, int],
    fit: str,
    key: tuple[int, int],
) -> tuple[Image.Image, Image.Image | None]:
    """Fit an image and its label to a size; both show the same part of the scene.

    Parameters
    ----------
    image
        Mode RGB; interpolated bilinearly (antialiased where it shrinks).
    label
        Mode L and of the image's size, or None; takes the nearest pixel.
    size
        (height, width) wanted, px, at least 1.
    fit
        center-crop: cut out the middle; an image that is smaller than the crop is first enlarged, with its
        aspect ratio, until it covers the crop. random-crop: the same at a random place. resize: scale to
        `size`, whatever the aspect ratio.
    key
        (seed, index of the image in its split), the seed of random crops.

    Returns
    -------
    tuple
        Image and label of `size`. Pixels are unchanged unless the image is scaled.
    """
    box, scaled = source_box((image.height, image.width), size, fit, key)
    return _cut(image, box, scaled, size, Image.Resampling.BILINEAR), (
        None if label is None else _cut(label, box, scaled, size, Image.Resampling.NEAREST)
    )


def source_box(
    source: tuple[int, int], size: tuple[int, int], fit: str, key: tuple[int, int]
) -> tuple[Box, bool]:
    """Find the part of the source image that fills the result.

    Parameters
    ----------
    source, size
        (height, width) of the image and of the result, px.
    fit, key
        As in `fit_pair`.

    Returns
    -------
    box
        (left, top, right, bottom) in px of the source image, edges, not pixel centers; whole numbers
        unless the image is enlarged.
    scaled
        Whether the part has to be scaled, or may have to.
    """
    (height, width), (wanted_height, wanted_width) = source, size
    if fit == "resize":
        return (0, 0, width, height), True  # Pillow copies an image that has the size already
    scale = max(1.0, wanted_height / height, wanted_width / width)
    part_height, part_width = wanted_height / scale, wanted_width / scale
    y_share, x_share = (0.5, 0.5) if fit == "center-crop" else np.random.default_rng(key).random(2).tolist()
    top = _start(height, part_height, y_share, scale > 1)
    left = _start(width, part_width, x_share, scale > 1)
    # min: rounding may carry the far edge an ulp out of the image.
    return (left, top, min(width, left + part_width), min(height, top + part_height)), scale > 1


def _start(length: int, part: float, share: float, scaled: bool) -> float:
    if scaled:
        return max(0.0, (length - part) * share)
    room = length - int(part)
    # Of the room + 1 whole starts; a share of one half is the middle, rounded up and left.
    return room // 2 if share == 0.5 else int((room + 1) * share)


def _cut(
    image: Image.Image, box: Box, scaled: bool, size: tuple[int, int], resample: Image.Resampling
) -> Image.Image:
    if not scaled:
        left, top, right, bottom = (int(edge) for edge in box)
        return image.crop((left, top, right, bottom))
    # The box lets Pillow compute the result's pixels only: a 1×10000 px image, enlarged whole to cover
    # 769×769, would take 17 GB.
    return image.resize((size[1], size[0]), resample, box=box)
