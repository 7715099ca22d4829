"""How evenly the images contribute to a map."""

from collections.abc import Sequence

import numpy as np

from erfscope.records.flags import Flag
from erfscope.records.masses import MassStatistics

LARGE_SHARE = 0.1


def measure_masses(names: Sequence[str], masses: Sequence[float]) -> MassStatistics | None:
    """Measure how evenly images contribute to a map.

    Parameters
    ----------
    names, masses
        One for each image; a mass is the sum over all pixels of the clipped gradient, not negative.

    Returns
    -------
    MassStatistics or None
        Effective number of images (Σ m)² / Σ m² (Kish, Survey Sampling, 1965) and the heaviest image's
        share, flagged above 10 %. None without images or without mass.
    """
    values = np.array(masses, np.float64)
    total = float(values.sum())
    if not total > 0:
        return None
    shares = values / total
    heaviest = int(shares.argmax())
    largest = float(shares[heaviest])
    return MassStatistics(
        count=len(names),
        effective=float(1 / (shares @ shares)),
        largest_share=largest,
        largest_name=names[heaviest],
        flags=_flags(len(names), names[heaviest], largest),
    )


def _flags(count: int, name: str, share: float) -> tuple[Flag, ...]:
    if share <= LARGE_SHARE:
        return ()
    message = f"one of {count} images, {name}, has {share:.0%} of the gradient mass"
    if count < 1 / LARGE_SHARE:
        message += "; of fewer than ten, one always has over 10 %"
    return (Flag("heavy_image", message),)
