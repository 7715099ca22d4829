"""The confusion matrix: pixels by true and predicted class."""

import torch

from erfscope.datasets import IGNORE
from erfscope.errors import ScoreError


def confusion_matrix(
    predicted: torch.Tensor, label: torch.Tensor, num_classes: int, ignore: int = IGNORE
) -> torch.Tensor:
    """Count the pixels of each true and each predicted class.

    Parameters
    ----------
    predicted, label
        Classes of one shape, such as (H, W), integers, on one device.
    num_classes
        K.
    ignore
        Label of pixels that aren't counted.

    Returns
    -------
    Tensor
        (K, K) int64 on the same device, rows the truth, columns the prediction.

    Raises
    ------
    ScoreError
        The shapes differ, or a class is not among 0 to K − 1.
    """
    if predicted.shape != label.shape:
        raise ScoreError(
            f"the prediction is {_size(predicted)} px, the label {_size(label)}; they must have one size"
        )
    counted = label != ignore
    truth, guess = label[counted].long(), predicted[counted].long()
    _check("label", truth, num_classes, ignore)
    _check("prediction", guess, num_classes, ignore)
    counts = torch.bincount(truth * num_classes + guess, minlength=num_classes**2)
    return counts.view(num_classes, num_classes)


def _check(what: str, values: torch.Tensor, num_classes: int, ignore: int) -> None:
    if not values.numel():
        return
    outside = [value for value in (int(values.min()), int(values.max())) if not 0 <= value < num_classes]
    if outside:
        count = int((values == outside[0]).sum())
        raise ScoreError(
            f"the {what} has the value {outside[0]} ({count} px); expected classes 0 to {num_classes - 1}, "
            f"or {ignore} for none in a label"
        )


def _size(pixels: torch.Tensor) -> str:
    return "×".join(map(str, pixels.shape))
