"""A map's mean over its images, and the same without each group of images: numbers with standard errors."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erfscope.measure.replicate_groups import (
    ReplicateGroups,
    delete_a_group_stderr,
    filled_groups,
    sums_without_each,
)
from erfscope.records.arrays import FloatArray

_NO_GROUPS = ReplicateGroups((), np.empty(0))


@dataclass(frozen=True)
class MeanMap:
    """A mean over images, with what tells its sampling noise from its structure.

    Attributes
    ----------
    values
        (H, W) mean over the images, axes (y, x); the given map if their number is unknown.
    group_shares, group_sums, group_squares
        (G,) for each group of images in the mean: its share of the images, and the sums over all pixels
        of its part of the mean and of that part's square. Empty with fewer than 8 filled groups.
    """

    values: FloatArray
    group_shares: FloatArray
    group_sums: FloatArray
    group_squares: FloatArray

    def crossed_sums(self, offset: float = 0.0) -> tuple[float, float]:
        """Return (Σ e)² and Σ e² over the pixels' e = mean − offset, from products of different groups only.

        A group's noise doesn't multiply itself there, so that neither is too large by sampling noise. Without
        groups these are the plain sums, which are. Both lack one common factor.
        """
        excess = self.values - offset
        own = offset * self.group_shares
        pixels = excess.size
        sums = self.group_sums - own * pixels
        squares = self.group_squares - 2 * own * self.group_sums + own**2 * pixels
        return float(excess.sum() ** 2 - sums @ sums), float((excess**2).sum() - squares.sum())


@dataclass(frozen=True)
class JackknifeMeans:
    """A map's mean over all images, and over all but each group of them.

    Attributes
    ----------
    mean
        Over all images.
    images
        How many; 1 if unknown.
    groups
        The filled groups; none if fewer than 8 are filled.
    """

    mean: MeanMap
    images: int
    groups: ReplicateGroups

    def without_each(self) -> Iterator[MeanMap]:
        """Yield the mean over the images of all groups but one, for each."""
        shares = self.groups.shares
        others = sums_without_each(self.groups.sums) if len(shares) else iter(())
        for index, (sums, share) in enumerate(zip(others, shares, strict=True)):
            kept, left = np.arange(len(shares)) != index, 1 - share
            yield MeanMap(
                sums / (self.images * left),
                self.mean.group_shares[kept] / left,
                self.mean.group_sums[kept] / left,
                self.mean.group_squares[kept] / left**2,
            )

    def measure(self, numbers: Callable[[MeanMap], FloatArray]) -> "JackknifeEstimate":
        """Measure (K,) numbers on all images and without each group."""
        every = numbers(self.mean)
        left_out = np.array([numbers(mean) for mean in self.without_each()]).reshape(-1, len(every))
        return JackknifeEstimate(every, left_out, self.groups.shares)


@dataclass(frozen=True)
class JackknifeEstimate:
    """(K,) numbers on all images, (G, K) without each group, and the groups' (G,) shares of the images."""

    values: FloatArray
    left_out: FloatArray
    shares: FloatArray

    def stderr(self) -> FloatArray:
        """Return the (K,) standard errors; NaN without groups, or where a number wasn't measurable."""
        if not len(self.shares):
            return np.full_like(self.values, np.nan)
        return delete_a_group_stderr(self.values, self.left_out, self.shares)

    def numbers(self) -> list[float | None]:
        """Return the K numbers, None for NaN."""
        return finite_or_none(self.values)

    def errors(self) -> list[float | None]:
        """Return the K standard errors, None for NaN."""
        return finite_or_none(self.stderr())


def finite_or_none(values: FloatArray) -> list[float | None]:
    """Return the values, None for NaN and infinity."""
    return [float(value) if np.isfinite(value) else None for value in values]


def jackknife_means(
    erf: FloatArray,
    images: int | None,
    replicates: NDArray[np.floating] | None = None,
    images_per_group: Sequence[int] | None = None,
) -> JackknifeMeans:
    """Make the means of a map from its sum and its partial sums.

    Parameters
    ----------
    erf
        (H, W) sum over the images, axes (y, x).
    images
        How many; None if unknown, then `erf` stands for the mean.
    replicates
        (G, H, W) partial sums over disjoint groups.
    images_per_group
        G numbers; without them the filled groups count as equal.
    """
    count = images or 1
    mean = np.asarray(erf, np.float64) / count
    groups = filled_groups(replicates, images_per_group)
    if not groups.enough:
        none = np.empty(0)
        return JackknifeMeans(MeanMap(mean, none, none, none), count, _NO_GROUPS)
    sums = np.array([group.sum(dtype=np.float64) for group in groups.sums]) / count
    squares = np.array([_square_sum(group) for group in groups.sums]) / count**2
    return JackknifeMeans(MeanMap(mean, groups.shares, sums, squares), count, groups)


def _square_sum(group: NDArray[np.floating]) -> float:
    flat = group.astype(np.float64).ravel()
    return float(flat @ flat)
