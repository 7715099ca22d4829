"""The same scores as torchmetrics, for the same predictions."""

import numpy as np
import pytest
import torch
from golden.score_inputs import IGNORE, SCORED, label_pairs

from erfscope.records.scores import Scores
from erfscope.scores.confusion import confusion_matrix

pytestmark = [pytest.mark.representative, pytest.mark.filterwarnings("ignore")]  # of the library itself

FLOAT32 = 1e-6  # it divides in single precision
SEVERAL = [name for name, (classes, _, _) in SCORED.items() if classes > 1]


@pytest.fixture(scope="session")
def torchmetrics(torchvision):
    import torchmetrics
    import torchmetrics.segmentation

    return torchmetrics


def matrix(name):
    pairs = [tuple(map(torch.from_numpy, pair)) for pair in label_pairs(name)]
    return sum(confusion_matrix(*pair, SCORED[name][0]) for pair in pairs).numpy()


def score(metric, name):
    for predicted, label in label_pairs(name):
        metric.update(torch.from_numpy(predicted).long()[None], torch.from_numpy(label).long()[None])
    return metric.compute().numpy()


@pytest.mark.parametrize("name", SEVERAL)
def test_confusion(torchmetrics, name):
    theirs = score(
        torchmetrics.ConfusionMatrix("multiclass", num_classes=SCORED[name][0], ignore_index=IGNORE), name
    )
    np.testing.assert_array_equal(matrix(name), theirs)


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("iou", "JaccardIndex"), ("recall", "Recall"), ("recall", "Accuracy"), ("precision", "Precision"),
     ("f1", "F1Score"), ("dice", "F1Score")],
)  # fmt: skip
def test_by_class_and_on_average(torchmetrics, name, ours, theirs):
    classes = SCORED[name][0]
    found = Scores.from_confusion(matrix(name), [str(k) for k in range(classes)])

    def metric(average):
        options = {"num_classes": classes, "ignore_index": IGNORE, "average": average}
        return score(getattr(torchmetrics, theirs)("multiclass", **options), name)

    # An undefined score of a class is 0 there, and counts so unless the class is absent altogether.
    np.testing.assert_allclose(np.nan_to_num(getattr(found, ours)), metric("none"), rtol=FLOAT32)
    assert found.mean_with_zeros(ours) == pytest.approx(metric("macro"), rel=FLOAT32)
    if ours in ("iou", "dice"):
        assert found.mean(ours) == pytest.approx(metric("macro"), rel=FLOAT32)


@pytest.mark.parametrize("name", SEVERAL)
def test_pixel_accuracy(torchmetrics, name):
    found = Scores.from_confusion(matrix(name), [""] * SCORED[name][0])
    options = {"num_classes": SCORED[name][0], "ignore_index": IGNORE, "average": "micro"}
    theirs = score(torchmetrics.Accuracy("multiclass", **options), name)
    assert found.pixel_accuracy == pytest.approx(theirs, rel=FLOAT32)


@pytest.mark.parametrize("name", SEVERAL)
def test_dice_of_segmentation(torchmetrics, name):
    """Its Dice knows no ignored pixels: they become pixels of one class more, which is left out."""
    classes = SCORED[name][0]
    found = Scores.from_confusion(matrix(name), [""] * classes)
    metric = torchmetrics.segmentation.DiceScore(
        classes + 1, average="none", aggregation_level="global", input_format="index"
    )
    for predicted, label in label_pairs(name):
        ignored = torch.from_numpy(label == IGNORE)
        pair = (
            torch.from_numpy(each.astype(np.int64)).masked_fill(ignored, classes)
            for each in (predicted, label)
        )
        metric.update(*(each.flatten()[None] for each in pair))
    theirs = metric.compute().flatten()[:classes].numpy()
    np.testing.assert_allclose(found.dice, theirs, rtol=FLOAT32)
