"""The 2D Gaussian on an offset: its value, its derivatives, its canonical axes."""

from typing import NamedTuple

import numpy as np

from erfscope.records.arrays import FloatArray


class Gaussian(NamedTuple):
    """A·exp(−u²/2σx² − v²/2σy²) + offset, with (u, v) the axes turned by θ about (x0, y0).

    Lengths in px; `theta` in radians from +x toward +y; `amplitude` and `offset` in the map's units.
    """

    x0: float
    y0: float
    sigma_x: float
    sigma_y: float
    theta: float
    amplitude: float
    offset: float

    @property
    def reach(self) -> tuple[float, float]:
        """Standard deviation along the map's own axes (y, x), in px."""
        cos, sin = np.cos(self.theta), np.sin(self.theta)
        along_y = np.hypot(self.sigma_x * sin, self.sigma_y * cos)
        along_x = np.hypot(self.sigma_x * cos, self.sigma_y * sin)
        return float(along_y), float(along_x)

    def turned_near(self, theta: float) -> "Gaussian":
        """Return the same surface with its angle in (θ − 45°, θ + 45°], its sigmas swapped where needed.

        At `theta` = 0 the first sigma is then the one nearest to +x.
        """
        quarter_turns = int(np.ceil((self.theta - theta) / (np.pi / 2) - 0.5))
        turned = self._replace(theta=self.theta - quarter_turns * np.pi / 2)
        if quarter_turns % 2:
            turned = turned._replace(sigma_x=self.sigma_y, sigma_y=self.sigma_x)
        return turned

    def scaled(self, factor: float) -> "Gaussian":
        """Return the surface of a map `factor` times as bright."""
        return self._replace(amplitude=self.amplitude * factor, offset=self.offset * factor)


def surface(gaussian: Gaussian, y: FloatArray, x: FloatArray, broadening: float = 0.0) -> FloatArray:
    """Value of the Gaussian at (y, x) in px, arrays that broadcast.

    Parameters
    ----------
    gaussian
        The parameters.
    y, x
        Where, in px.
    broadening
        Variance in px² of a window over which each value is the mean: (b² − 1)/12 for b × b px. It
        widens both axes and keeps the volume.
    """
    wide_x, wide_y = gaussian.sigma_x**2 + broadening, gaussian.sigma_y**2 + broadening
    volume = gaussian.amplitude * gaussian.sigma_x * gaussian.sigma_y / np.sqrt(wide_x * wide_y)
    if gaussian.theta == 0:  # separable: two profiles in place of an exponential per pixel
        profiles = [
            np.exp(-((y - gaussian.y0) ** 2) / (2 * wide_y)),
            np.exp(-((x - gaussian.x0) ** 2) / (2 * wide_x)),
        ]
        return np.asarray(volume * profiles[0] * profiles[1] + gaussian.offset)
    u, v = _own_axes(gaussian, y, x)
    return np.asarray(volume * np.exp(-(u**2) / (2 * wide_x) - v**2 / (2 * wide_y)) + gaussian.offset)


def derivatives(gaussian: Gaussian, y: FloatArray, x: FloatArray, broadening: float = 0.0) -> FloatArray:
    """Return (7, *broadcast of y and x): derivatives of `surface` by each parameter, in its order.

    Lengths in px, the angle in radians.
    """
    u, v = _own_axes(gaussian, y, x)
    wide_x, wide_y = gaussian.sigma_x**2 + broadening, gaussian.sigma_y**2 + broadening
    cos, sin = np.cos(gaussian.theta), np.sin(gaussian.theta)
    bell = surface(gaussian._replace(amplitude=1.0, offset=0.0), y, x, broadening)
    height = gaussian.amplitude * bell
    slope_u, slope_v = u / wide_x, v / wide_y
    return np.stack([
        height * (slope_u * cos - slope_v * sin),
        height * (slope_u * sin + slope_v * cos),
        height * (slope_u**2 * gaussian.sigma_x + broadening / (gaussian.sigma_x * wide_x)),
        height * (slope_v**2 * gaussian.sigma_y + broadening / (gaussian.sigma_y * wide_y)),
        height * u * v * (1 / wide_y - 1 / wide_x),
        bell,
        np.ones_like(bell),
    ])  # fmt: skip


def _own_axes(gaussian: Gaussian, y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(u, v): distances in px from the center along the Gaussian's own axes."""
    cos, sin = np.cos(gaussian.theta), np.sin(gaussian.theta)
    dx, dy = x - gaussian.x0, y - gaussian.y0
    return dx * cos + dy * sin, dy * cos - dx * sin
