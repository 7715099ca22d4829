"""The mean over images of a map, and the same without each group of images: what error bars come from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erfscope.measure.jackknife import MIN_GROUPS, delete_a_group_stderr
from erfscope.records.arrays import FloatArray


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

        A group's noise doesn't multiply itself there, so neither is too large by sampling noise, as the
        plain sums are, which stand here where there are no groups. Both lack one common factor.
        """
        excess = self.values - offset
        own = offset * self.group_shares
        pixels = excess.size
        sums = self.group_sums - own * pixels
        squares = self.group_squares - 2 * own * self.group_sums + own**2 * pixels
        return float(excess.sum() ** 2 - sums @ sums), float((excess**2).sum() - squares.sum())


@dataclass(frozen=True)
class Sample:
    """A map as a sample of images: `mean` over all of them, and the mean without any one group.

    Attributes
    ----------
    images
        How many; 1 if unknown.
    groups
        The (H, W) sums over the images of each filled group; empty if fewer than 8 are filled.
    shares
        (G,) their shares of the images; they add up to one.
    """

    mean: MeanMap
    images: int
    groups: tuple[NDArray[np.floating], ...]
    shares: FloatArray

    def without_each(self) -> Iterator[MeanMap]:
        """Yield the mean over the images of all groups but one, for each."""
        # Of the float32 parts, not `mean`: where one group has everything, nothing must be left.
        total = np.sum(self.groups, axis=0, dtype=np.float64)
        for index, (group, share) in enumerate(zip(self.groups, self.shares, strict=True)):
            kept, left = np.arange(len(self.shares)) != index, 1 - share
            yield MeanMap(
                (total - group) / (self.images * left),
                self.mean.group_shares[kept] / left,
                self.mean.group_sums[kept] / left,
                self.mean.group_squares[kept] / left**2,
            )

    def measure(self, numbers: Callable[[MeanMap], FloatArray]) -> "Measured":
        """Measure (K,) numbers on all images and without each group."""
        every = numbers(self.mean)
        left_out = np.array([numbers(mean) for mean in self.without_each()]).reshape(-1, len(every))
        return Measured(every, left_out, self.shares)


@dataclass(frozen=True)
class Measured:
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
        return known(self.values)

    def errors(self) -> list[float | None]:
        """Return the K standard errors, None for NaN."""
        return known(self.stderr())


def known(values: FloatArray) -> list[float | None]:
    """Return the values, None for NaN."""
    return [float(value) if np.isfinite(value) else None for value in values]


def make_sample(
    erf: FloatArray,
    images: int | None,
    replicates: NDArray[np.floating] | None = None,
    images_per_group: Sequence[int] | None = None,
) -> Sample:
    """Make a sample of a map and its partial sums.

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
    groups, sizes = _filled(replicates, images_per_group)
    if len(groups) < MIN_GROUPS:
        none = np.empty(0)
        return Sample(MeanMap(mean, none, none, none), count, (), none)
    shares = sizes / sizes.sum()
    sums = np.array([group.sum(dtype=np.float64) for group in groups]) / count
    squares = np.array([_square_sum(group) for group in groups]) / count**2
    return Sample(MeanMap(mean, shares, sums, squares), count, tuple(groups), shares)


def _filled(
    replicates: NDArray[np.floating] | None, images_per_group: Sequence[int] | None
) -> tuple[list[NDArray[np.floating]], FloatArray]:
    if replicates is None:
        return [], np.empty(0)
    counts = [int(group.any()) for group in replicates] if images_per_group is None else images_per_group
    filled = [index for index, count in enumerate(counts) if count]
    return [replicates[index] for index in filled], np.array([counts[index] for index in filled], np.float64)


def _square_sum(group: NDArray[np.floating]) -> float:
    flat = group.astype(np.float64).ravel()
    return float(flat @ flat)
