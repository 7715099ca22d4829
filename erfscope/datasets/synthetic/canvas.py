"""Paint a scene and its label together, from parts that each have one class, color and texture."""

from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from erfscope.datasets.layout import Pixels

Points = npt.NDArray[np.float64]
Color = npt.NDArray[np.float64]

_TEXTURE_SIDE = 256
# Pillow needs coordinates that fit into 32 bits; what lies farther out isn't visible.
_FAR_OUT = 1e6


class Canvas:
    """An image and its label while they are painted; later parts cover earlier ones."""

    def __init__(self, size: tuple[int, int], train_id: int, color: Color, texture: float) -> None:
        """Cover (H, W) px with a first part, the ground."""
        self._size = size
        self._numbers = Image.new("I", (size[1], size[0]), 0)
        self._painter = ImageDraw.Draw(self._numbers)
        self._classes, self._colors, self._textures = [train_id], [color], [texture]

    def part(self, train_id: int, color: Color, texture: float = 8.0) -> int:
        """Define a new part.

        Parameters
        ----------
        train_id
            Its class.
        color
            (3,) red, green, blue in 0 to 255.
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
        """Fill a polygon with (N, 2) corners (x, y), px."""
        self._painter.polygon(np.clip(corners, -_FAR_OUT, _FAR_OUT).ravel().tolist(), fill=part)

    def ring(self, part: int, center: tuple[float, float], radius: float, width: float) -> None:
        """Draw a circle's line; a disk if the radius is less than 2 px."""
        (x, y), box = center, (radius, radius)
        edges = (x - box[0], y - box[1], x + box[0], y + box[1])
        if radius < 2:
            self._painter.ellipse(edges, fill=part)
        else:
            self._painter.ellipse(edges, outline=part, width=max(1, round(width)))

    def line(self, part: int, corners: Points, width: float) -> None:
        """Draw a line through (N, 2) points (x, y), px, at least one pixel wide."""
        self._painter.line(np.clip(corners, -_FAR_OUT, _FAR_OUT).ravel().tolist(), part, max(1, round(width)))

    def finish(
        self, rng: np.random.Generator, noise: float, light: npt.NDArray[np.float64]
    ) -> tuple[Pixels, Pixels]:
        """Add textures and noise, and return the image and the label.

        Parameters
        ----------
        rng
            Random number generator.
        noise
            Standard deviation of the noise of each pixel, gray levels.
        light
            (3,) factors on red, green, blue.

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
        # Each part takes its texture from its own place of one square of noise.
        down, right = rng.integers(0, _TEXTURE_SIDE, (2, len(colors)), dtype=np.int32)
        rows = (np.arange(self._size[0], dtype=np.int32)[:, None] + down[numbers]) % _TEXTURE_SIDE
        columns = (np.arange(self._size[1], dtype=np.int32) + right[numbers]) % _TEXTURE_SIDE
        texture = texture_noise()[rows, columns] * np.array(self._textures, np.float32)[numbers]
        image += texture[..., None]
        image += rng.standard_normal((*self._size, 3), dtype=np.float32) * np.float32(noise)
        pixels = np.clip(np.rint(image, out=image), 0, 255, out=image).astype(np.uint8)
        return pixels, np.array(self._classes, np.uint8)[numbers]


@cache
def texture_noise() -> npt.NDArray[np.float32]:
    """Return a square of noise, mean 0, standard deviation 1, that repeats without a seam."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(_TEXTURE_SIDE)[:, None], np.fft.rfftfreq(_TEXTURE_SIDE))
    frequency[0, 0] = np.inf
    waves = rng.standard_normal(frequency.shape) + 1j * rng.standard_normal(frequency.shape)
    noise = np.fft.irfft2(waves / frequency**0.8, s=(_TEXTURE_SIDE, _TEXTURE_SIDE))
    return np.asarray(noise / noise.std(), np.float32)
