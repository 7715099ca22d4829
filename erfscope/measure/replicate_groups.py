"""Groups of images, whose partial sums tell the sampling error of a map: the delete-a-group jackknife."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from erfscope.records.arrays import FloatArray
from erfscope.records.erf_map import ImageRecord

#: Filled groups from which on standard errors are told.
MIN_GROUPS = 8


@dataclass(frozen=True)
class ReplicateGroups:
    """The filled groups of a map's images.

    Attributes
    ----------
    sums
        For each group the (H, W) sum over its images, axes (y, x).
    shares
        (G,) each group's share of the images; they add up to one.
    """

    sums: tuple[NDArray[np.floating], ...]
    shares: FloatArray

    @property
    def enough(self) -> bool:
        """Whether there are enough of them for standard errors."""
        return len(self.sums) >= MIN_GROUPS


def filled_groups(
    replicates: NDArray[np.floating] | None, images_per_group: Sequence[int] | None
) -> ReplicateGroups:
    """Return the groups that hold images: those counted in them, or a sum that isn't zero everywhere.

    Parameters
    ----------
    replicates
        (G, H, W) partial sums over disjoint groups of images, or None.
    images_per_group
        G numbers; without them the filled groups count as equal.
    """
    if replicates is None:
        return ReplicateGroups((), np.empty(0))
    counts = [0] * len(replicates) if images_per_group is None else images_per_group
    filled = [index for index, group in enumerate(replicates) if counts[index] or group.any()]
    # A sum that isn't zero holds an image, whatever was counted.
    sizes = np.maximum([counts[index] for index in filled], 1.0)
    return ReplicateGroups(tuple(replicates[index] for index in filled), sizes / sizes.sum())


def count_images(records: Iterable[ImageRecord], groups: int) -> list[int]:
    """Count the images of each group that were not skipped."""
    counts = [0] * groups
    for record in records:
        counts[record.group] += record.status == "done"
    return counts


def sums_without_each(
    parts: Sequence[NDArray[np.floating]] | NDArray[np.floating],
) -> Iterator[FloatArray]:
    """Yield the sum of all parts but one, for each, in float64.

    It is the parts' own sum that each is taken from: where one part has everything, nothing is left.
    """
    total = np.sum(parts, axis=0, dtype=np.float64)
    for part in parts:
        yield total - part


def delete_a_group_stderr(full: FloatArray, left_out: FloatArray, shares: FloatArray) -> FloatArray:
    """Return the standard errors of numbers that were measured again without each group of images.

    Parameters
    ----------
    full
        (K,) numbers measured on all images.
    left_out
        (G, K) the same without group g, from a map scaled up to as many images as before.
    shares
        (G,) each group's share of the images; they add up to one.

    Returns
    -------
    FloatArray
        (K,) by Busing, Meijer and van der Leeden's jackknife for groups of unequal size (Statistics and
        Computing 9, 1999); for equal ones sqrt((G − 1) / G · Σ (θ_g − mean θ)²).
    """
    times = 1 / shares[:, None]
    pseudo = times * full - (times - 1) * left_out
    spread = (pseudo - shares @ pseudo) ** 2 / (times - 1)
    variance: FloatArray = spread.mean(0)
    return np.sqrt(variance)


def student_factor(groups: int) -> float:
    """Return half a 95 % interval in standard errors: Student's t with `groups` − 1 degrees of freedom."""
    return float(stats.t.ppf(0.975, groups - 1))
