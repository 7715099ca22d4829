"""The error of a score from the sampling of images."""

import numpy as np
from numpy.typing import NDArray

from erfscope.records.scores import mean_iou

MIN_IMAGES = 8
"""Fewer images give no useful estimate of the spread."""


def miou_stderr(counts: NDArray[np.int64]) -> float | None:
    """Return the standard error of the mIoU from the sampling of images: the delete-one jackknife.

    The mIoU is no mean over images but a mean of ratios of sums, so that the spread of the images' own
    IoUs isn't its error. A class that occurs in one image only leaves the mean with that image. Images
    are taken as independent; frames of one drive are less.

    Parameters
    ----------
    counts
        (N, 3, K): for each image and class, the pixels that are correct, predicted, and labeled so.

    Returns
    -------
    float or None
        sqrt((N − 1) / N · Σ (θ_i − mean θ)²) of the mIoUs θ_i without image i; None with fewer than
        `MIN_IMAGES` images.
    """
    images = len(counts)
    if images < MIN_IMAGES:
        return None
    hits, predicted, truth = np.moveaxis(counts.sum(0) - counts, 1, 0).astype(np.float64)
    without = mean_iou(hits, predicted, truth)
    return float(np.sqrt((images - 1) / images * ((without - without.mean()) ** 2).sum()))
