"""Counts over images: the confusion matrix of all, and the counts of each for the error of the mIoU."""

from collections.abc import Sequence

import numpy as np
import torch

from erfscope.records.scores import Counts, Scores
from erfscope.scores.confusion import confusion_matrix
from erfscope.scores.sampling import miou_stderr


class ScoreCounts:
    """Adds up the confusion matrices of images.

    Parameters
    ----------
    num_classes
        K.

    Attributes
    ----------
    matrix
        (K, K) int64, pixels, rows the truth.
    """

    def __init__(self, num_classes: int) -> None:
        self.matrix: Counts = np.zeros((num_classes, num_classes), np.int64)
        self._images: list[Counts] = []

    def add(self, predicted: torch.Tensor, label: torch.Tensor) -> None:
        """Count one image: (H, W) classes each; raises `ScoreError` as `confusion_matrix` does."""
        counts: Counts = confusion_matrix(predicted, label, len(self.matrix)).cpu().numpy()
        self.matrix += counts
        self._images.append(np.stack([np.diag(counts), counts.sum(0), counts.sum(1)]))

    def scores(self, classes: Sequence[str]) -> Scores:
        """Score all images together, with the error of the mIoU from their sampling."""
        stderr = miou_stderr(np.stack(self._images))
        return Scores.from_confusion(self.matrix, classes, miou_stderr=stderr)
