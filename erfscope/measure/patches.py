"""The patches of a vision transformer in a map: their size and phase, from the map's spectrum.

A patch embedding cuts the image into squares that it treats alike and apart. Its maps show it in two ways:

* *Texture.* Every patch repeats the pattern of the embedding's weights. In the spectrum that is a comb at
  multiples of 1/p. A convolutional stem leaves combs too, but those of its strides 2, 4, 8: a texture
  that repeats with 8 px repeats mostly with 2 or 4 px already. What counts here are the lines that no
  finer grid has, those (k/p, l/p) in which k, l and p have no common divisor: of white patches of 16 px
  three quarters of the energy, of untrained residual networks less than a tenth.
* *Steps.* Every patch has its own strength, with a jump at its border. The blobs of a star and the slopes
  of a Gaussian are smooth on that scale.

Measured on 24 maps of untrained SETR, Segmenter, DPT, UPerNet on ViT and one trained ViT: every size
right, scores from 0.65 up; on 70 maps of convolutional networks, stars and grids among them: scores up to
0.33 (Xception's, the strongest stride grid). Stages that merge 2×2 neighbors without overlap (Swin,
ConvNeXt) partition the map as well, into patches of their total stride, and are reported so.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erfscope.records.arrays import FloatArray
from erfscope.records.flags import Flag
from erfscope.records.patches import Patches

SIZES = range(8, 33, 2)  # below 8 px a patch can't be told from a stem's stride; no patch is odd
MIN_PATCHES = 6  # a side
LOOKED_AT = 512  # px of the middle: 16 patches of the largest size a side
THRESHOLD = 0.5  # of the score
MIN_TEXTURE_SHARE = 0.45
LEAST_OFF_AXES = 0.1  # of a texture's energy; stripes have none there
MIN_STEP_SHARE = 0.25
MIN_STEP_ERRORS = 6.0  # standard errors by which borders jump more than what lies between them
MIN_PHASE_CONTRAST = 0.15  # of the blocks' spread, by which the best phase beats the median one; more if few
REACH = 2  # px on either side of a border whose means are compared

# Energy of a texture too faint to judge: 8 % modulation, a quarter of which is left in compressed values.
_FAINT = 0.02**2


@dataclass(frozen=True)
class _Comb:
    """Energy at the lines of one period: those that no finer grid has (`own`), and the others.

    `both_axes` is False of stripes.
    """

    own: float
    finer: float
    both_axes: bool

    @property
    def total(self) -> float:
        return self.own + self.finer


class _Map:
    """A map's middle, and its ratio to local means, on three or four scales."""

    def __init__(self, erf: FloatArray) -> None:
        self.corner = tuple(max(0, (size - LOOKED_AT) // 2) for size in erf.shape)
        rows, columns = (slice(start, start + LOOKED_AT) for start in self.corner)
        self.values = np.maximum(erf[rows, columns], 0.0)
        self.side = min(self.values.shape)
        self.relative = cache(self._relative)

    def around(self, period: int) -> int:
        """Return the side of the window of local means that keeps a pattern: one to two of its periods."""
        return int(2 ** period.bit_length()) + 1

    def _relative(self, window: int) -> FloatArray:
        mean = ndimage.uniform_filter(self.values, window, mode="reflect")
        mean = ndimage.uniform_filter(mean, window, mode="reflect")
        relative: FloatArray = self.values / np.maximum(mean, self.values.max() * 1e-9)
        return relative


def measure_patches(erf: FloatArray) -> Patches:
    """Find the size and the phase of the patches into which a map is partitioned, if it is.

    Even sizes from 8 to 32 px with at least six patches a side are looked for, in the middle 512 px.

    Parameters
    ----------
    erf
        (H, W) map, axes (y, x), of any scale; negative values count as zero.

    Returns
    -------
    Patches
        `score` ≥ 0.5 where the texture's share reaches 0.45, or the steps' 0.25 with 6 standard errors.
    """
    middle = _Map(erf)
    sizes = [size for size in SIZES if MIN_PATCHES * size <= middle.side]
    if not sizes or not middle.values.any():
        reason = "the map is empty" if sizes else f"the map is too small for {MIN_PATCHES} patches a side"
        flag = Flag("patches_not_sought", f"no patches looked for: {reason}")
        return Patches(None, None, 0.0, flags=(flag,))
    textures = _texture_shares(middle, sizes)
    size = max(textures, key=textures.__getitem__)
    found = Patches(None, None, 0.0, textures[size], tried_px=(sizes[0], sizes[-1]))
    if found.texture_share < MIN_TEXTURE_SHARE:
        size, share = _strongest_steps(middle, sizes)
        found = replace(found, step_share=share)
    shares = (found.texture_share / MIN_TEXTURE_SHARE, found.step_share / MIN_STEP_SHARE)
    found = replace(found, score=min(1.0, max(shares) * THRESHOLD))
    return _located(found, middle, size) if found.score >= THRESHOLD else found


def _texture_shares(middle: _Map, sizes: list[int]) -> dict[int, float]:
    """Return the share of all periodic texture's energy that repeats with each size and no finer one."""
    combs: dict[int, _Comb] = {}
    for period in range(sizes[0] - 1, sizes[-1] + sizes[-1] // 8 + 1):
        combs[period] = _comb(_compressed(middle.relative(middle.around(period))), period)
    return {size: _texture_share(combs, size) for size in sizes}


def _compressed(relative: FloatArray) -> FloatArray:
    """Compress to 0 to 1, lest a few bright pixels of few images decide."""
    compressed: FloatArray = relative / (1 + relative)
    return compressed


def _texture_share(combs: dict[int, _Comb], size: int) -> float:
    # A slope of the map leaks into all neighboring periods alike; a comb stands out.
    near = range(size - size // 8, size + size // 8 + 1)
    leak = max(combs[other].own for other in near if other != size and other in combs)
    # A texture of 16 px has lines of 8 px: half its size must not take the credit.
    everything = max(combs[other].total for other in combs if other % size == 0)
    return max(combs[size].own - leak, 0.0) / (everything + _FAINT) if combs[size].both_axes else 0.0


def _comb(values: FloatArray, period: int) -> _Comb:
    """Energy of the pattern that repeats with a period, free of noise: from products of two disjoint halves.

    The halves are the colors of a checkerboard of patches. Of the lines that no finer grid has, the
    median over the patches, so that what fills a few of them, like the blobs of a star, is no texture.
    """
    patches = _cut(values, period)
    white = np.add.outer(np.arange(patches.shape[0]), np.arange(patches.shape[2])) % 2 == 0
    halves = [np.einsum("iyjx,ij->yx", patches, color) / color.sum() for color in (white, ~white)]
    spectra = [np.fft.fft2(half) / period**2 for half in halves]
    energy = (spectra[0] * spectra[1].conj()).real
    energy[0, 0] = 0.0
    own = _own_lines(period)
    patterns = [np.fft.ifft2(np.where(own, spectrum, 0)).real for spectrum in spectra]
    # Each patch against the pattern of the other color.
    fits = [np.einsum("iyjx,yx->ij", patches, pattern) for pattern in patterns]
    fit = float(np.median(np.where(white, fits[1], fits[0])))
    off_axes = energy[1:, 1:][own[1:, 1:]].sum() >= LEAST_OFF_AXES * energy[own].sum()
    return _Comb(max(fit, 0.0), max(float(energy[~own].sum()), 0.0), bool(off_axes))


def _cut(values: FloatArray, size: int) -> FloatArray:
    """(rows of patches, y, columns of patches, x) from the first pixel on; ragged edges left out."""
    rows, columns = (side // size for side in values.shape)
    return values[: rows * size, : columns * size].reshape(rows, size, columns, size)


def _own_lines(period: int) -> NDArray[np.bool_]:
    """(p, p): True at the lines (k, l) that no period dividing p has."""
    divisors = np.gcd(np.arange(period), period)
    lines: NDArray[np.bool_] = np.gcd.outer(divisors, divisors) == 1
    return lines


def _strongest_steps(middle: _Map, sizes: list[int]) -> tuple[int, float]:
    """Size whose borders show the steps, and their share; 0 where the map's halves place them elsewhere."""
    shares = {size: _step_share(middle, size) for size in sizes}
    # Borders of larger patches are borders of the smaller ones that divide them as well.
    size = min(size for size in sizes if shares[size] >= 0.5 * max(shares.values()))
    return size, shares[size] if _agreed_phase(middle, size) else 0.0


def _step_share(middle: _Map, size: int) -> float:
    """Return the share of the jump across patch borders that exceeds jumps within; 0 if unsure.

    Of the two axes' shares the smaller one.
    """
    # Any stride up to 32, and every second patch.
    periods = (SIZES[-1], 2 * size, size)
    plain = middle.values
    for period in [period for period in periods if MIN_PATCHES * period <= middle.side][:2]:
        plain = plain / _texture(middle, period)
    y, x = _strongest_phase(_block_spread(middle, size))
    return min(_jumps(plain[:, x:], size, y), _jumps(plain.T[:, y:], size, x))


def _texture(middle: _Map, period: int) -> FloatArray:
    """Repeat the typical patch: the median, for a few blobs of a star are no texture."""
    pattern = np.median(_cut(middle.relative(middle.around(period)), period), axis=(0, 2))
    pattern = np.maximum(pattern, 0.05 * pattern.max()) if pattern.any() else np.ones_like(pattern)
    rows, columns = (np.arange(side) % period for side in middle.values.shape)
    texture: FloatArray = pattern[np.ix_(rows, columns)]
    return texture


def _jumps(erf: FloatArray, size: int, first: int) -> float:
    """Share by which relative jumps between rows exceed, at the borders first + k · size, those elsewhere.

    The patches' first column is the map's.
    """
    strips = erf.shape[1] // size
    rows = erf[:, : strips * size].reshape(len(erf), strips, size).sum(2)
    sums = np.concatenate([np.zeros((1, strips)), rows.cumsum(0)])
    row = np.arange(REACH, len(sums) - REACH)
    above, below = sums[row] - sums[row - REACH], sums[row + REACH] - sums[row]
    relative = np.abs(above - below) / np.maximum(above + below, sums.max() * 1e-12)
    jump = np.median(relative, axis=1)  # of the strips: the blobs of a star stand on a few of them
    distance = np.minimum((row - first) % size, (first - row) % size)
    border, within = jump[distance == 0], jump[distance > REACH]
    spread = float(within.std()) / np.sqrt(len(border))
    # Of every size that divides the patches' own, half the borders or more are none.
    low = float(np.quantile(border, 0.4))
    if border.mean() - within.mean() <= MIN_STEP_ERRORS * spread or low <= 0:
        return 0.0
    # A step doesn't reach over two pixels; the slope of a narrow blob does.
    beside = np.median(jump[distance == REACH])
    return max(0.0, 1 - float(max(np.median(within), beside)) / low)


def _block_spread(middle: _Map, size: int, columns: slice = slice(None)) -> FloatArray:
    """(size, size): mean square of what blocks are above or below their surroundings, by the grid's (y, x).

    It is highest where no block mixes two patches. `columns` of the map count, whole blocks of them.
    """
    relative = middle.relative(middle.around(2 * size))[:, columns] - 1
    # Faded out toward the edges, lest it matter which pixels a grid leaves out there.
    relative = relative * np.multiply.outer(*(np.hanning(side) for side in relative.shape))
    sums = np.pad(relative, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    means = (sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]) / size**2
    rows, across = ((side - size + 1) // size for side in relative.shape)  # as many at every phase
    spread: FloatArray = (_cut(means[: rows * size, : across * size], size) ** 2).mean((0, 2))
    return spread


def _strongest_phase(spread: FloatArray) -> tuple[int, int]:
    y, x = np.unravel_index(np.argmax(spread), spread.shape)
    return int(y), int(x)


def _agreed_phase(middle: _Map, size: int) -> tuple[int, int] | None:
    """(y, x) of the first border; None if it hardly matters, or the map's left and right disagree."""
    spread = _block_spread(middle, size)
    rows, blocks = (side // size for side in middle.values.shape)
    contrast = max(MIN_PHASE_CONTRAST, 2 / np.sqrt(rows * blocks))
    if spread.max() - np.median(spread) <= contrast * spread.max():
        return None
    more = -(-3 * blocks // 5)  # than half of them, for what stands out may be in the middle
    sides = (slice(0, more * size), slice((blocks - more) * size, None))
    left, right = (_strongest_phase(_block_spread(middle, size, side)) for side in sides)
    apart = [abs(one - two) for one, two in zip(left, right, strict=True)]
    return None if any(1 < gap < size - 1 for gap in apart) else _strongest_phase(spread)


def _located(found: Patches, middle: _Map, size: int) -> Patches:
    """Add size and phase."""
    phase = _agreed_phase(middle, size)
    if phase is None:
        flag = Flag("patch_phase_unknown", "phase unknown: no patch is set off from its neighbors")
        return replace(found, size_px=size, flags=(flag,))
    y, x = ((start + at) % size for start, at in zip(middle.corner, phase, strict=True))
    return replace(found, size_px=size, phase=(y, x))
