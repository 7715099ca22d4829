"""Compares two maps: their numbers and blocks of pixels, with significance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from erfscope.errors import MapError
from erfscope.measure.background import measure_background
from erfscope.measure.boxes import Boxes, boxes_about
from erfscope.measure.extent import effective_diameter, side_above_background, sides_of_shares
from erfscope.measure.jackknife_means import (
    JackknifeEstimate,
    JackknifeMeans,
    MeanMap,
    finite_or_none,
    jackknife_means,
)
from erfscope.measure.replicate_groups import MIN_GROUPS, sums_without_each
from erfscope.measure.significance import discoveries, subtract, t_test
from erfscope.records.arrays import FloatArray
from erfscope.records.comparison import SCALARS, BlockComparison, Difference, MapNumbers, PairComparison
from erfscope.records.flags import Flag

BLOCKS = 32  # a side, at most
FALSE_DISCOVERY_RATE = 0.05
SMALLEST_PART = 16  # px a side
ALIGNED = 0.01  # px
# Effective groups of images, of those there are: of fewer, one in six pairs of equal maps had a block that
# "differed", in simulations; of more, one in twenty.
EVEN = 0.75


@dataclass(frozen=True)
class MapSample:
    """A map to be compared.

    Attributes
    ----------
    erf
        (H, W) sum over the images, axes (y, x), of any scale.
    center
        (y, x) in px of the unit's projected center.
    replicates, images, images_per_group
        As in `measure.extent.measure_extent`.
    image_groups
        (name, group) of every image in the map, in order; empty if unknown.
    """

    erf: FloatArray
    center: tuple[float, float]
    replicates: NDArray[np.floating] | None = None
    images: int | None = None
    images_per_group: Sequence[int] | None = None
    image_groups: tuple[tuple[str, int], ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in px."""
        height, width = self.erf.shape
        return height, width

    @cached_property
    def means(self) -> JackknifeMeans:
        """The map's mean over its images, and without each group of them."""
        return jackknife_means(self.erf, self.images, self.replicates, self.images_per_group)

    @cached_property
    def numbers(self) -> JackknifeEstimate:
        """`SCALARS` and the area ratio at 50 %."""
        boxes = boxes_about(self.size, self.center)
        return self.means.measure(lambda mean: _numbers(mean, self.center, boxes))

    def crop(self, corner: tuple[int, int], size: tuple[int, int]) -> "MapSample":
        """Cut out a part of the map, with its partial sums."""
        if size == self.size:
            return self
        part = tuple(slice(start, start + side) for start, side in zip(corner, size, strict=True))
        center = (self.center[0] - corner[0], self.center[1] - corner[1])
        replicates = None if self.replicates is None else self.replicates[:, part[0], part[1]]
        return replace(self, erf=self.erf[part], center=center, replicates=replicates)


def describe(sample: MapSample) -> MapNumbers:
    """Measure the numbers of one map that are compared, and the area ratio at 50 %."""
    names, measured = (*SCALARS, "area_ratio50"), sample.numbers
    return MapNumbers(
        values=dict(zip(names, measured.numbers(), strict=True)),
        stderr=dict(zip(names, measured.errors(), strict=True)),
    )


def compare(maps: Sequence[MapSample], first: int, second: int) -> PairComparison:
    """Compare one map with another: `second` − `first`, by their positions in `maps`.

    Maps of one size are compared in the part that both have around their projected centers, moved by
    whole pixels; of maps of different sizes, the numbers are, each from its whole map.

    Where both saw the same images in the same groups, the jackknife leaves the same group out of both,
    and what the images do to both cancels; else their variances add up. Blocks are compared as shares of
    their map's sum, for two maps rarely have one scale.

    Raises
    ------
    MapError
        A map that sums to nothing.
    """
    one, other = maps[first], maps[second]
    for position in (first, second):
        if not maps[position].erf.sum() > 0:
            raise MapError(
                f"map {position + 1} sums to {maps[position].erf.sum():g}; there is nothing to compare"
            )
    part = _common_part(one, other)
    flags = [*_alignment_flags(one, other, part), *_pairing_flags(one, other)]
    if part is not None:
        one, other = one.crop(part.corners[0], part.size), other.crop(part.corners[1], part.size)
    paired = bool(one.image_groups) and one.image_groups == other.image_groups
    return PairComparison(
        first=first,
        second=second,
        paired=paired,
        scalars=_compare_numbers(one, other, paired=paired),
        blocks=None if part is None else _compare_blocks(one, other, part, paired=paired),
        flags=tuple(flags),
    )


@dataclass(frozen=True)
class _CommonPart:
    """The part that two maps of one size have in common: its upper left pixel in each, and its (H, W)."""

    corners: tuple[tuple[int, int], tuple[int, int]]
    size: tuple[int, int]


def _common_part(one: MapSample, other: MapSample) -> _CommonPart | None:
    if one.size != other.size:
        return None
    shifts = [round(b - a) for a, b in zip(one.center, other.center, strict=True)]
    height, width = (max(0, side - abs(shift)) for side, shift in zip(one.size, shifts, strict=True))
    if min(height, width) < SMALLEST_PART:
        return None
    (y1, y2), (x1, x2) = ((max(0, -shift), max(0, shift)) for shift in shifts)
    return _CommonPart(((y1, x1), (y2, x2)), (height, width))


def _alignment_flags(one: MapSample, other: MapSample, part: _CommonPart | None) -> list[Flag]:
    sizes = [f"{height}×{width}" for height, width in (one.size, other.size)]
    if one.size != other.size:
        message = f"sizes differ, {sizes[0]} and {sizes[1]} px: numbers compared in px, each of its whole map"
        return [Flag("sizes_differ", message)]
    if part is None:
        message = "the parts around the projected centers hardly overlap: numbers of the whole maps compared"
        return [Flag("little_overlap", message)]
    flags = []
    if part.size != one.size:
        height, width = part.size
        around = f"the {height}×{width} px that both have around theirs"
        flags.append(Flag("centers_differ", f"projected centers differ: compared in {around}"))
    left = [(b - a) - round(b - a) for a, b in zip(one.center, other.center, strict=True)]
    if max(map(abs, left)) > ALIGNED:
        off = f"{max(map(abs, left)):.2g} px out of line"
        flags.append(Flag("blocks_misaligned", f"blocks up to {off}: maps are moved by whole pixels"))
    return flags


def _pairing_flags(one: MapSample, other: MapSample) -> list[Flag]:
    flags = []
    if not one.means.groups.sums or not other.means.groups.sums:
        message = f"no significance: it takes {MIN_GROUPS} or more filled groups of images in either map"
        flags.append(Flag("few_groups", message))
    if not one.image_groups or not other.image_groups:
        flags.append(Flag("unpaired", "unpaired: the images are unknown"))
    elif one.image_groups != other.image_groups:
        same = sorted(name for name, _ in one.image_groups) == sorted(name for name, _ in other.image_groups)
        reason = "the same images in other groups" if same else "not the same images"
        flags.append(Flag("unpaired", f"unpaired: {reason}"))
    for each in (one, other):
        sums = each.means.mean.group_sums
        equal = sums.sum() ** 2 / (sums @ sums) if sums.any() else 0.0
        if equal < EVEN * len(sums):
            message = f"p-values may be too small: {len(sums)} groups weigh like {equal:.1f} equal ones"
            flags.append(Flag("uneven_groups", message))
    return flags


def _numbers(mean: MeanMap, center: tuple[float, float], boxes: Boxes) -> FloatArray:
    """`SCALARS` and the area ratio at 50 %."""
    values = mean.values
    total = float(values.sum())
    y, x = (
        float(values.sum(1 - axis) @ np.arange(side)) / total - at if total > 0 else np.nan
        for axis, (side, at) in enumerate(zip(values.shape, center, strict=True))
    )
    side50 = float(sides_of_shares(boxes, values, [0.5])[0])
    side95 = side_above_background(boxes, values, *measure_background(values))
    area = float(np.interp(side50, boxes.sides, boxes.areas)) / values.size
    return np.array([effective_diameter(mean), y, x, side50, side95, area])


def _compare_numbers(one: MapSample, other: MapSample, *, paired: bool) -> dict[str, Difference]:
    difference, stderr, degrees = subtract(one.numbers, other.numbers, paired=paired)
    scale = np.full_like(difference, max(*one.size, *other.size))
    t, p_values = t_test(difference, stderr, degrees, scale)
    columns = (difference, stderr, t, degrees, p_values)
    rows = [finite_or_none(np.array(row)) for row in zip(*columns, strict=True)]
    return {name: Difference(*row) for name, row in zip(SCALARS, rows, strict=False)}  # the area has none


def _compare_blocks(one: MapSample, other: MapSample, part: _CommonPart, *, paired: bool) -> BlockComparison:
    block = -(-max(part.size) // BLOCKS)
    first, second = (_block_shares(each.means, block) for each in (one, other))
    difference, stderr, degrees = subtract(first, second, paired=paired)
    t, p_values = t_test(difference, stderr, degrees, np.maximum(first.values, second.values))
    empty = (first.values == 0) & (second.values == 0)
    t, p_values = (np.where(empty, np.nan, values) for values in (t, p_values))
    shape = _block_sums(one.erf, block).shape
    return BlockComparison(
        block_px=block,
        corners=part.corners,
        size=part.size,
        first=first.values.reshape(shape),
        second=second.values.reshape(shape),
        t=t.reshape(shape),
        significant=discoveries(p_values, FALSE_DISCOVERY_RATE).reshape(shape),
        false_discovery_rate=FALSE_DISCOVERY_RATE,
        overlap=float(np.minimum(first.values, second.values).sum()),
    )


def _block_shares(means: JackknifeMeans, block: int) -> JackknifeEstimate:
    """Each block's share of the map's sum."""
    sums = _block_sums(means.mean.values, block).ravel() * means.images
    groups = np.array([_block_sums(group, block).ravel() for group in means.groups.sums])
    left_out = np.array([*sums_without_each(groups)]).reshape(-1, sums.size)
    totals = left_out.sum(1, keepdims=True)
    # NaN where one group has everything.
    shares = np.divide(left_out, totals, out=np.full_like(left_out, np.nan), where=totals > 0)
    return JackknifeEstimate(sums / sums.sum(), shares, means.groups.shares)


def _block_sums(values: NDArray[np.floating], block: int) -> FloatArray:
    """Sum over blocks; those at the lower and right edges may be smaller."""
    rows, columns = (np.arange(0, side, block) for side in values.shape)
    sums: FloatArray = np.add.reduceat(
        np.add.reduceat(values, rows, axis=0, dtype=np.float64), columns, axis=1
    )
    return sums
