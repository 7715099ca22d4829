"""How far a map reaches: high-contribution area ratio, effective diameter, radial profile."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from erfscope.measure.background import measure_background, stands_above
from erfscope.measure.boxes import Squares, crossing, squares_about
from erfscope.measure.sample import MeanMap, Sample, make_sample
from erfscope.records.arrays import FloatArray
from erfscope.records.extent import AreaRatios, Extent, RadialProfile

THRESHOLDS = (0.2, 0.3, 0.5, 0.99)
ABOVE_BACKGROUND = 0.95
SCALE_FLAG = "log: the area ratios of log10(1 + mean) depend on the gradient's scale"

_SMALLEST_SIDE = 3.0  # px, of RepLKNet's first square
_RATIO_NAMES = tuple(f"{threshold:g}" for threshold in THRESHOLDS)


def measure_extent(
    erf: FloatArray,
    center: tuple[float, float],
    replicates: NDArray[np.floating] | None = None,
    *,
    images: int | None = None,
    images_per_group: Sequence[int] | None = None,
) -> Extent:
    """Measure how far a map reaches from its projected center.

    The high-contribution area ratio is RepLKNet's (Ding et al. 2022, arXiv 2203.06717, erf/analyze_erf.py):
    of the squares of side 3, 5, 7, … px about the center, short of the first that covers the map, the
    smallest that holds more than a share of the sum. The script takes log10(1 + map), which depends on
    the map's scale; here it is that of the mean over the images, and the mean map's own stands beside it.
    The script's center is the array's middle; about any other center and in maps that are not square, the
    part of a square within the image counts, for the sum and for the area.

    The effective diameter is that of the circle with the area (Σ E)² / Σ E², as optics defines the
    effective area of a fiber's mode (Agrawal, Nonlinear Fiber Optics): 4 σ of a Gaussian. Both sums are
    taken from products of different image groups, since a few images' noise makes Σ E² too large.

    Parameters
    ----------
    erf
        (H, W) sum over the images, axes (y, x).
    center
        (y, x) in px of the unit's projected center.
    replicates
        (G, H, W) partial sums over image groups; 8 or more filled ones give standard errors.
    images
        How many images the sum holds; None if unknown.
    images_per_group
        G numbers; without them the filled groups count as equal.

    Returns
    -------
    Extent
        Lengths in px; None, and a flag, where a share isn't reached or nothing stands above the background.
    """
    size = (erf.shape[0], erf.shape[1])
    squares, rings = squares_about(size, center), _Rings.about(size, center)
    sample = make_sample(erf, images, replicates, images_per_group)
    scalars = sample.measure(lambda mean: _scalars(mean, squares))
    profile = sample.measure(lambda mean: rings.means(mean.values))
    diameter, above, side95, background = zip(scalars.numbers(), scalars.errors(), strict=True)
    extent = Extent(
        raw=_area_ratios(squares, sample, lambda mean: mean.values),
        log=_area_ratios(squares, sample, _logarithm),
        effective_diameter_px=diameter[0],
        effective_diameter_stderr_px=diameter[1],
        effective_diameter_above_background_px=above[0],
        effective_diameter_above_background_stderr_px=above[1],
        side95_above_background_px=side95[0],
        side95_above_background_stderr_px=side95[1],
        background=background[0],
        background_stderr=background[1],
        radial_profile=RadialProfile(
            rings.radii, profile.values, profile.stderr() if sample.groups else None
        ),
    )
    return replace(extent, flags=_flags(extent, sample, squares, images))


def effective_diameter(mean: MeanMap, background: float = 0.0) -> float:
    """Diameter in px of the circle with the area (Σ e)² / Σ e², e = mean − background; NaN of nothing."""
    squared_sum, sum_of_squares = mean.crossed_sums(background)
    if squared_sum <= 0 or sum_of_squares <= 0:
        return float("nan")
    return float(2 * np.sqrt(squared_sum / sum_of_squares / np.pi))


def sides_of_shares(squares: Squares, values: FloatArray, shares: Sequence[float]) -> FloatArray:
    """Sides in px of the squares that hold shares of a map, linear between the odd sides; NaN of nothing."""
    total = float(values.sum())
    if not total > 0:
        return np.full(len(shares), np.nan)
    held = squares.sums(values) / total
    return np.array([crossing(squares.sides, held, share) for share in shares])


def side_above_background(squares: Squares, values: FloatArray, level: float, error: float) -> float:
    """Side in px of the square with 95 % of what stands above the background; NaN if nothing surely does."""
    if not stands_above(values, level, error):
        return float("nan")
    return float(sides_of_shares(squares, values - level, [ABOVE_BACKGROUND])[0])


def _scalars(mean: MeanMap, squares: Squares) -> FloatArray:
    """Effective diameter, the same above the background, the side of 95 % above it, and the background."""
    level, error = measure_background(mean.values)
    side = side_above_background(squares, mean.values, level, error)
    above = effective_diameter(mean, level) if np.isfinite(side) else np.nan
    return np.array([effective_diameter(mean), above, side, level])


def _logarithm(mean: MeanMap) -> FloatArray:
    logarithm: FloatArray = np.log10(1 + np.maximum(mean.values, 0.0))
    return logarithm


def _area_ratios(squares: Squares, sample: Sample, data: Callable[[MeanMap], FloatArray]) -> AreaRatios:
    """High-contribution area ratios of `data`; their errors from sides that aren't rounded to odd px."""

    def smooth(mean: MeanMap) -> FloatArray:
        values = data(mean)
        sides = sides_of_shares(squares, values, THRESHOLDS)
        return np.concatenate([sides, np.interp(sides, squares.sides, squares.areas) / values.size])

    values = data(sample.mean)
    found = _smallest(squares, values)
    errors = sample.measure(smooth).errors()
    count = len(THRESHOLDS)
    # No error of what isn't reached.
    known = [None if at is None else error for at, error in zip((*found, *found), errors, strict=True)]
    return AreaRatios(
        area_ratio=_by_threshold(None if at is None else squares.areas[at] / values.size for at in found),
        side_px=_by_threshold(None if at is None else squares.sides[at] for at in found),
        area_ratio_stderr=_by_threshold(known[count:]),
        side_stderr_px=_by_threshold(known[:count]),
    )


def _smallest(squares: Squares, values: FloatArray) -> list[int | None]:
    """For each threshold the smallest square that holds more and doesn't cover the map: its index."""
    total = float(values.sum())
    if total <= 0:
        return [None] * len(THRESHOLDS)
    held, wide = squares.sums(values)[:-1] / total, squares.sides[:-1] >= _SMALLEST_SIDE
    enough = [wide & (held > threshold) for threshold in THRESHOLDS]
    return [int(each.argmax()) if each.any() else None for each in enough]


def _by_threshold(numbers: Iterable[float | None]) -> dict[str, float | None]:
    pairs = zip(_RATIO_NAMES, numbers, strict=True)
    return {name: None if number is None else float(number) for name, number in pairs}


@dataclass(frozen=True)
class _Rings:
    """Rings 1 px wide: which one each pixel belongs to, the radii of those that have any, and how many."""

    index: NDArray[np.intp]
    radii: FloatArray
    counts: NDArray[np.intp]

    @classmethod
    def about(cls, size: tuple[int, int], center: tuple[float, float]) -> "_Rings":
        y, x = (np.arange(side) - at for side, at in zip(size, center, strict=True))
        index = np.rint(np.hypot(y[:, None], x)).astype(np.intp).ravel()
        counts = np.bincount(index)
        return cls(index, np.flatnonzero(counts).astype(np.float64), counts)

    def means(self, values: FloatArray) -> FloatArray:
        """Mean of an (H, W) map over each ring that has pixels."""
        filled = self.counts > 0
        means: FloatArray = np.bincount(self.index, values.ravel())[filled] / self.counts[filled]
        return means


def _flags(extent: Extent, sample: Sample, squares: Squares, images: int | None) -> tuple[str, ...]:
    ratios = {"raw": extent.raw, "log": extent.log}
    sides = {f"{name} {key}": side for name, each in ratios.items() for key, side in each.side_px.items()}
    missing = [name for name, side in sides.items() if side is None]
    within = squares.sides[np.isclose(squares.areas, squares.sides**2)].max(initial=0.0)
    side95 = extent.side95_above_background_px
    checks = {
        f"not reached by any square short of the whole image: {', '.join(missing)}": bool(missing),
        f"squares wider than {within:g} px leave the image: the part within counts": any(
            side is not None and side > within for side in (*sides.values(), side95)
        ),
        SCALE_FLAG: True,
        "log: the number of images is unknown, the map was taken for their mean": images is None,
        "negative values count as zero in the logarithm": bool((sample.mean.values < 0).any()),
        "no standard errors, and effective diameters that are too small if images are few: fewer than "
        "8 filled groups of images": not sample.groups,
        "nothing stands above the background": side95 is None,
    }
    return tuple(text for text, raised in checks.items() if raised)
