"""How far a map reaches: high-contribution area ratio, effective diameter, radial profile."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from erfscope.measure.background import measure_background, stands_above
from erfscope.measure.boxes import Boxes, boxes_about, crossing
from erfscope.measure.jackknife_means import JackknifeMeans, MeanMap, jackknife_means
from erfscope.measure.replicate_groups import MIN_GROUPS
from erfscope.records.arrays import FloatArray
from erfscope.records.extent import AreaRatios, Extent, RadialProfile
from erfscope.records.flags import Flag

THRESHOLDS = (0.2, 0.3, 0.5, 0.99)
ABOVE_BACKGROUND = 0.95

_SMALLEST_SIDE = 3.0  # px, of the first box of RepLKNet's script
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
    of the square boxes of side 3, 5, 7, … px about the center, short of the first that covers the map,
    the smallest that holds more than a share of the sum. The script takes log10(1 + map), which depends on
    the map's scale; here it is that of the mean over the images, and the mean map's own stands beside it.
    The script's center is the array's middle; about any other center and in maps that are not square, the
    part of a box within the image counts, for the sum and for the area.

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
    boxes, rings = boxes_about(size, center), _Rings.about(size, center)
    means = jackknife_means(erf, images, replicates, images_per_group)
    scalars = means.measure(lambda mean: _scalars(mean, boxes))
    profile = means.measure(lambda mean: rings.means(mean.values))
    diameter, above, side95, background = zip(scalars.numbers(), scalars.errors(), strict=True)
    extent = Extent(
        raw=_area_ratios(boxes, means, lambda mean: mean.values),
        log=_area_ratios(boxes, means, _logarithm),
        effective_diameter_px=diameter[0],
        effective_diameter_stderr_px=diameter[1],
        effective_diameter_above_background_px=above[0],
        effective_diameter_above_background_stderr_px=above[1],
        side95_above_background_px=side95[0],
        side95_above_background_stderr_px=side95[1],
        background=background[0],
        background_stderr=background[1],
        radial_profile=RadialProfile(
            rings.radii, profile.values, profile.stderr() if means.groups.sums else None
        ),
    )
    return replace(extent, flags=_flags(extent, means, boxes, images))


def effective_diameter(mean: MeanMap, background: float = 0.0) -> float:
    """Diameter in px of the circle with the area (Σ e)² / Σ e², e = mean − background; NaN of nothing."""
    squared_sum, sum_of_squares = mean.crossed_sums(background)
    if squared_sum <= 0 or sum_of_squares <= 0:
        return float("nan")
    return float(2 * np.sqrt(squared_sum / sum_of_squares / np.pi))


def sides_of_shares(boxes: Boxes, values: FloatArray, shares: Sequence[float]) -> FloatArray:
    """Sides in px of the boxes that hold shares of a map, linear between odd sides; NaN of an empty map."""
    total = float(values.sum())
    if not total > 0:
        return np.full(len(shares), np.nan)
    held = boxes.sums(values) / total
    return np.array([crossing(boxes.sides, held, share) for share in shares])


def side_above_background(boxes: Boxes, values: FloatArray, level: float, error: float) -> float:
    """Side in px of the box with 95 % of what stands above the background; NaN if nothing surely does."""
    if not stands_above(values, level, error):
        return float("nan")
    return float(sides_of_shares(boxes, values - level, [ABOVE_BACKGROUND])[0])


def _scalars(mean: MeanMap, boxes: Boxes) -> FloatArray:
    """Effective diameter, the same above the background, the side of 95 % above it, and the background."""
    level, error = measure_background(mean.values)
    side = side_above_background(boxes, mean.values, level, error)
    above = effective_diameter(mean, level) if np.isfinite(side) else np.nan
    return np.array([effective_diameter(mean), above, side, level])


def _logarithm(mean: MeanMap) -> FloatArray:
    logarithm: FloatArray = np.log10(1 + np.maximum(mean.values, 0.0))
    return logarithm


def _area_ratios(boxes: Boxes, means: JackknifeMeans, data: Callable[[MeanMap], FloatArray]) -> AreaRatios:
    """High-contribution area ratios of `data`; their errors from sides that aren't rounded to odd px."""

    def smooth(mean: MeanMap) -> FloatArray:
        values = data(mean)
        sides = sides_of_shares(boxes, values, THRESHOLDS)
        return np.concatenate([sides, np.interp(sides, boxes.sides, boxes.areas) / values.size])

    values = data(means.mean)
    found = _smallest(boxes, values)
    errors = means.measure(smooth).errors()
    count = len(THRESHOLDS)
    # No error of what isn't reached.
    known = [None if at is None else error for at, error in zip((*found, *found), errors, strict=True)]
    return AreaRatios(
        area_ratio=_by_threshold(None if at is None else boxes.areas[at] / values.size for at in found),
        side_px=_by_threshold(None if at is None else boxes.sides[at] for at in found),
        area_ratio_stderr=_by_threshold(known[count:]),
        side_stderr_px=_by_threshold(known[:count]),
    )


def _smallest(boxes: Boxes, values: FloatArray) -> list[int | None]:
    """Return for each threshold the index of the smallest box that holds more and doesn't cover the map."""
    total = float(values.sum())
    if total <= 0:
        return [None] * len(THRESHOLDS)
    held, wide = boxes.sums(values)[:-1] / total, boxes.sides[:-1] >= _SMALLEST_SIDE
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


def _flags(extent: Extent, means: JackknifeMeans, boxes: Boxes, images: int | None) -> tuple[Flag, ...]:
    ratios = {"raw": extent.raw, "log": extent.log}
    sides = {f"{name} {key}": side for name, each in ratios.items() for key, side in each.side_px.items()}
    missing = [name for name, side in sides.items() if side is None]
    within = boxes.sides[np.isclose(boxes.areas, boxes.sides**2)].max(initial=0.0)
    side95 = extent.side95_above_background_px
    leaves = any(side is not None and side > within for side in (*sides.values(), side95))
    missing_shares = f"not reached by any box short of the whole image: {', '.join(missing)}"
    leaving = f"boxes wider than {within:g} px leave the image: the part within counts"
    on_scale = "log: the area ratios of log10(1 + mean) depend on the gradient's scale"
    unknown = "log: the number of images is unknown, the map was taken for their mean"
    no_errors = (
        "no standard errors, and effective diameters that are too small if images are few: fewer than "
        f"{MIN_GROUPS} filled groups of images"
    )
    negative = bool((means.mean.values < 0).any())
    checks = (
        (bool(missing), "share_not_reached", missing_shares),
        (leaves, "boxes_leave_map", leaving),
        (True, "log_depends_on_scale", on_scale),
        (images is None, "images_unknown", unknown),
        (negative, "negative_values", "negative values count as zero in the logarithm"),
        (not means.groups.sums, "few_groups", no_errors),
        (side95 is None, "nothing_above_background", "nothing stands above the background"),
    )
    return tuple(Flag(code, message) for raised, code, message in checks if raised)
