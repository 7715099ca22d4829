"""Painting a scene and its label at once: parts, each of one class, color and texture, one over another."""

from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from erfscope.datasets.layout import Pixels

Points = npt.NDArray[np.float64]
Color = npt.NDArray[np.float64]

_CLOTH_SIDE = 256
# Pillow wants coordinates that fit into 32 bits; nothing is to be seen of what lies farther out.
_FAR_OUT = 1e6


class Canvas:
    """A picture in the making; what is painted later covers what was before."""

    def __init__(self, size: tuple[int, int], train_id: int, color: Color, texture: float) -> None:
        """Start with a ground of one part on (H, W) px."""
        self._size = size
        self._numbers = Image.new("I", (size[1], size[0]), 0)
        self._painter = ImageDraw.Draw(self._numbers)
        self._classes, self._colors, self._textures = [train_id], [color], [texture]

    def part(self, train_id: int, color: Color, texture: float = 8.0) -> int:
        """Mix the paint of a new part.

        Parameters
        ----------
        train_id
            Its class.
        color
            (3,) R, G, B in 0 to 255.
        texture
            Standard deviation of its texture, gray levels.

        Returns
        -------
        int
            The part's number, to paint with.
        """
        self._classes.append(train_id)
        self._colors.append(color)
        self._textures.append(texture)
        return len(self._classes) - 1

    def polygon(self, part: int, corners: Points) -> None:
        """Fill a polygon; corners: (N, 2) of (x, y), px."""
        self._painter.polygon(np.clip(corners, -_FAR_OUT, _FAR_OUT).ravel().tolist(), fill=part)

    def ring(self, part: int, center: tuple[float, float], radius: float, width: float) -> None:
        """Draw a circle's line; where it would be too small to be one, a disk."""
        (x, y), box = center, (radius, radius)
        edges = (x - box[0], y - box[1], x + box[0], y + box[1])
        if radius < 2:
            self._painter.ellipse(edges, fill=part)
        else:
            self._painter.ellipse(edges, outline=part, width=max(1, round(width)))

    def line(self, part: int, corners: Points, width: float) -> None:
        """Draw a line through (N, 2) points; at least one pixel wide, as all that is drawn."""
        self._painter.line(np.clip(corners, -_FAR_OUT, _FAR_OUT).ravel().tolist(), part, max(1, round(width)))

    def finish(
        self, rng: np.random.Generator, noise: float, light: npt.NDArray[np.float64]
    ) -> tuple[Pixels, Pixels]:
        """Weave textures into the parts and add noise.

        Parameters
        ----------
        rng
            Source of the random numbers.
        noise
            Standard deviation of each pixel's own, gray levels.
        light
            (3,) factors on R, G, B.

        Returns
        -------
        image
            (H, W, 3) uint8.
        label
            (H, W) uint8.
        """
        numbers = np.asarray(self._numbers)
        colors = (np.array(self._colors) * light).astype(np.float32)
        image = colors[numbers]
        # Each part is cut from its own place of one cloth.
        down, right = rng.integers(0, _CLOTH_SIDE, (2, len(colors)), dtype=np.int32)
        rows = (np.arange(self._size[0], dtype=np.int32)[:, None] + down[numbers]) % _CLOTH_SIDE
        columns = (np.arange(self._size[1], dtype=np.int32) + right[numbers]) % _CLOTH_SIDE
        texture = cloth()[rows, columns] * np.array(self._textures, np.float32)[numbers]
        image += texture[..., None]
        image += rng.standard_normal((*self._size, 3), dtype=np.float32) * np.float32(noise)
        pixels = np.clip(np.rint(image, out=image), 0, 255, out=image).astype(np.uint8)
        return pixels, np.array(self._classes, np.uint8)[numbers]


@cache
def cloth() -> npt.NDArray[np.float32]:
    """Weave a square of noise that repeats without a seam: fine and coarse, mean 0, standard deviation 1."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(_CLOTH_SIDE)[:, None], np.fft.rfftfreq(_CLOTH_SIDE))
    frequency[0, 0] = np.inf
    waves = rng.standard_normal(frequency.shape) + 1j * rng.standard_normal(frequency.shape)
    noise = np.fft.irfft2(waves / frequency**0.8, s=(_CLOTH_SIDE, _CLOTH_SIDE))
    return np.asarray(noise / noise.std(), np.float32)
