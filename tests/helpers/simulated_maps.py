"""Maps whose truth is known: clipped gradients with a chosen variance, summed over images."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

DIRECTIONS = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]


@dataclass(frozen=True)
class Blob:
    """A blob's shape in the variance: a mixture of Gaussians and boxes, sharper, heavier than one.

    `sigma` is its root mean square along one axis, in px.
    """

    sigma: float
    tail: float = 0.3  # share of the wide part
    box: float = 0.0  # share of the width that a box has

    def along(self, axis, at):
        parts = []
        for scale, weight in ((0.85, 1 - self.tail), (1.35, self.tail)):
            sigma = self.sigma * scale * np.sqrt(1 - self.box**2)
            half = self.sigma * scale * self.box * np.sqrt(3)
            shift = np.linspace(-half, half, 9 if half else 1)
            profile = np.mean([np.exp(-0.5 * ((axis - at - s) / sigma) ** 2) for s in shift], axis=0)
            parts.append((weight / scale**2, profile))
        return parts

    def draw(self, y, x, at):
        rows, columns = self.along(y, at[0]), self.along(x, at[1])
        return sum(w * np.outer(r, c) for (w, r), (_, c) in zip(rows, columns, strict=True))


def star_variance(
    size,
    center,
    distances,
    blob,
    *,
    seed=0,
    spread=0.15,
    center_height=4.0,
    wall=0.4,
    floor=0.0,
    floor_width=4.0,
    grid=False,
):
    """(H, W) variance of a star, or of the 5×5 grid of `distances` = (d, 2d): blobs outside are missing."""
    rng = np.random.default_rng(seed)
    y, x = np.arange(size[0], dtype=float), np.arange(size[1], dtype=float)
    places = [(0.0, 0.0, center_height)]
    if grid:
        step = distances[0]
        steps = range(-2, 3)
        places = [(i * step, j * step, (3.0 - abs(i)) * (3 - abs(j))) for i in steps for j in steps]
    else:
        ring_height = rng.lognormal(0, spread, len(distances))
        places += [
            (sy * d, sx * d, h * rng.lognormal(0, spread))
            for d, h in zip(distances, ring_height, strict=True)
            for sy, sx in DIRECTIONS
        ]
    variance = np.zeros(size)
    for dy, dx, height in places:
        at = (center[0] + dy, center[1] + dx)
        if all(-0.5 <= a <= length - 0.5 for a, length in zip(at, size, strict=True)):
            mirrored = [(-1 - at[0], at[1]), (2 * size[0] - 1 - at[0], at[1])]
            mirrored += [(at[0], -1 - at[1]), (at[0], 2 * size[1] - 1 - at[1])]
            shape = blob.draw(y, x, at) - wall * sum(blob.draw(y, x, m) for m in mirrored)
            variance += height * np.maximum(shape, 0)
    reach = floor_width * max(distances)
    far = np.hypot(y[:, None] - center[0], x[None] - center[1])
    return variance + floor * np.exp(-0.5 * (far / reach) ** 2)


def texture(size, period, depth, seed=0):
    """(H, W) factor of mean 1, periodic as a strided network makes it."""
    cell = np.random.default_rng(seed).lognormal(0, depth, (period, period))
    tiled = np.tile(cell / cell.mean(), [n // period + 1 for n in size])
    return tiled[: size[0], : size[1]]


def clipped_sums(variance, *, images=32, groups=16, correlation=0.7, seed=0, heavy=0.2):
    """(groups, H, W) sums over images of the clipped gradient whose variance is given, dealt out in turn.

    `correlation` is the σ, in px, of what neighboring pixels share; `heavy` of the images' log masses.
    """
    rng = np.random.default_rng(seed)
    root = np.sqrt(variance)
    sums = np.zeros((groups, *variance.shape))
    for image in range(images):
        noise = rng.standard_normal(variance.shape)
        if correlation:
            noise = ndimage.gaussian_filter(noise, correlation, mode="wrap")
            noise /= noise.std()
        sums[image % groups] += rng.lognormal(0, heavy) * np.maximum(root * noise, 0)
    return sums


@dataclass(frozen=True)
class Drawn:
    """A map drawn at random, with what went into it."""

    groups: np.ndarray  # (G, H, W)
    center: tuple[float, float]
    distances: np.ndarray
    fwhm: float
    kind: str

    @property
    def erf(self):
        return self.groups.sum(0)

    @property
    def gap(self):
        """Least distance between neighboring rings, the center included, in FWHM of a blob."""
        return float(np.diff([0.0, *self.distances]).min() / self.fwhm)


def random_star(seed, *, images=48, gap=(0.6, 2.5), largest=300, groups=16):
    """Draw a star that fits: one to six rings, equally spaced or not, on any background."""
    rng = np.random.default_rng([seed, 1])
    rings, sigma = int(rng.choice([2, 3, 3, 3, 4, 5, 6])), float(rng.uniform(2, 12))
    apart = np.exp(rng.uniform(*np.log(gap)))
    steps = np.ones(rings) if rng.random() < 0.5 else rng.uniform(1, 2, rings)
    distances = np.cumsum(apart * steps) * sigma * 3.33
    side = 2 * distances[-1] + 3.33 * sigma * rng.uniform(1.05, 2.5)
    scale = min(1.0, largest / side)
    distances, sigma, side = distances * scale, sigma * scale, int(max(side * scale, 48))
    size = (side, int(side * rng.choice([1, 1, 1.4])))
    center = tuple(float(n / 2 + rng.uniform(-0.02, 0.02) * n) for n in size)
    variance = star_variance(
        size,
        center,
        distances,
        Blob(sigma, tail=rng.uniform(0, 0.4), box=rng.choice([0, 0, 0.8])),
        seed=seed,
        spread=rng.choice([0.1, 0.3]),
        center_height=rng.choice([1, 4, 20, 100.0]),
        wall=rng.uniform(0.1, 0.6),
        floor=rng.choice([0, 0.02, 0.2]),
    )
    if rng.random() < 0.4:
        variance = variance * texture(size, int(rng.choice([4, 8, 16])), rng.uniform(0.2, 0.6), seed)
    sums = clipped_sums(variance, images=images, groups=groups, seed=seed, correlation=rng.uniform(0.3, 1.2))
    return Drawn(sums, center, distances, 3.33 * sigma, "star")


ARMLESS = ("gaussian", "ellipse", "heavy", "pyramid", "scrambled", "radial", "ring-free", "noise", "patches")


def random_armless(seed, kind, *, images=16):
    """Draw a map without arms: smooth ones, nested boxes, textures, and surrogates of stars."""
    rng = np.random.default_rng([seed, 2])
    star = random_star(seed, images=16, groups=1)
    size, center = star.erf.shape, star.center
    y, x = np.arange(size[0])[:, None] - center[0], np.arange(size[1])[None] - center[1]
    width = size[0] * rng.uniform(0.05, 0.3)
    far = np.hypot(y, x)
    if kind == "gaussian":
        variance = np.exp(-0.5 * (far / width) ** 2) + rng.choice([0, 0.01])
    elif kind == "ellipse":
        angle = rng.uniform(0, np.pi)
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        variance = np.exp(-0.5 * ((u / width) ** 2 + (v / width / rng.uniform(0.3, 1)) ** 2)) + 0.005
    elif kind == "heavy":
        variance = (1 + (far / width) ** 2) ** -rng.uniform(1, 2.5)
    elif kind == "pyramid":  # what pooling over 1, 2, 3 and 6 bins leaves
        reach = np.maximum(np.abs(y), np.abs(x))
        sides = (size[0] / bins / 2 * (1 + (bins % 2 == 0)) for bins in (1, 2, 3, 6))
        variance = 1e-4 + sum(rng.lognormal(-2, 1) * (reach < side) for side in sides)
        variance = variance + rng.choice([3, 30]) * np.exp(-0.5 * (far / size[0] / 0.06) ** 2)
        variance = ndimage.gaussian_filter(variance, rng.uniform(0.5, 5))
    elif kind == "scrambled":
        spectrum, phases = np.fft.rfft2(star.erf), np.fft.rfft2(rng.standard_normal(size))
        mixed = np.fft.irfft2(np.abs(spectrum) * np.exp(1j * np.angle(phases)), s=size)
        variance = (mixed - mixed.min()) ** 2
    elif kind == "radial":  # a star's mean over circles
        ring = np.rint(far).astype(int).ravel()
        variance = (np.bincount(ring, star.erf.ravel() ** 2) / np.maximum(np.bincount(ring), 1))[ring]
        variance = variance.reshape(size)
    elif kind == "ring-free":
        blob = Blob(star.fwhm / 3.33, tail=0.4)
        variance = blob.draw(np.arange(size[0], dtype=float), np.arange(size[1], dtype=float), center)
        variance = variance + rng.choice([1e-4, 0.01])
    elif kind == "noise":
        variance = np.ones(size)
    else:
        variance = texture(size, int(rng.choice([8, 14, 16, 32])), 1.0, seed)
        variance = variance * (np.exp(-0.5 * (far / width) ** 2) + 0.05)
    if rng.random() < 0.4:
        variance = variance * texture(size, int(rng.choice([4, 8, 16])), rng.uniform(0.2, 0.6), seed)
    sums = clipped_sums(variance, images=images, groups=1, seed=seed, correlation=rng.uniform(0.3, 1.2))
    return Drawn(sums, center, np.array([]), star.fwhm, kind)
