"""Scores are mmsegmentation's, also where they are undefined (golden numbers of its own code)."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.score_inputs import SCORED, label_pairs

from erfscope.errors import ScoreError
from erfscope.records.scores import Scores
from erfscope.scores.confusion import confusion_matrix
from erfscope.scores.sampling import MIN_IMAGES, miou_stderr

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "mmsegmentation_scores.json").read_text())
THEIR_NAMES = {
    "iou": "IoU", "recall": "Acc", "precision": "Precision", "f1": "Fscore", "dice": "Dice",
}  # fmt: skip
FLOAT32 = 1e-6  # they divide in single precision


def scores(name):
    matrix = sum(
        confusion_matrix(torch.from_numpy(predicted), torch.from_numpy(label), SCORED[name][0])
        for predicted, label in label_pairs(name)
    )
    return Scores.from_confusion(matrix.numpy(), [f"c{k}" for k in range(SCORED[name][0])])


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("score", THEIR_NAMES)
def test_every_score_by_class_and_on_average(name, score):
    ours, theirs = scores(name), GOLDEN["scores"][name]
    expected = np.array(theirs["by_class"][THEIR_NAMES[score]], float)
    np.testing.assert_allclose(getattr(ours, score), expected, rtol=FLOAT32)
    assert ours.mean(score) == pytest.approx(theirs["mean"][THEIR_NAMES[score]], rel=FLOAT32)
    assert ours.pixel_accuracy == pytest.approx(theirs["mean"]["aAcc"], rel=FLOAT32)


def test_the_golden_cases_hold_what_is_undefined():
    undefined = {score: {name for name in SCORED if np.isnan(getattr(scores(name), score)).any()}
                 for score in THEIR_NAMES}  # fmt: skip
    assert undefined["iou"] == undefined["dice"] == {"absent from both", "many"}
    assert {"not predicted", "many"} <= undefined["precision"]
    assert {"not in labels", "many"} <= undefined["recall"]
    assert {"not in labels", "not predicted", "never right", "many"} <= undefined["f1"]


def test_by_hand():
    matrix = np.array([[6, 2, 0, 0], [1, 3, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    found = Scores.from_confusion(matrix, "abcd")
    np.testing.assert_array_equal(found.iou, [6 / 9, 3 / 7, 0, np.nan])
    np.testing.assert_array_equal(found.precision, [6 / 7, 3 / 6, np.nan, np.nan])
    np.testing.assert_array_equal(found.recall, [6 / 8, 3 / 4, 0, np.nan])
    np.testing.assert_allclose(found.f1, [0.8, 0.6, np.nan, np.nan])
    np.testing.assert_allclose(found.dice, [0.8, 0.6, 0, np.nan])
    assert found.pixel_accuracy == 9 / 13
    assert found.miou == pytest.approx((6 / 9 + 3 / 7) / 3)
    assert found.mean("f1") == pytest.approx(0.7)
    assert found.mean_with_zeros("f1") == pytest.approx(1.4 / 3)
    assert (found.never_occurring, found.never_right) == (("d",), ("c",))


def test_zeros_count_for_classes_that_only_occur_or_are_only_predicted():
    matrix = np.array([[4, 0, 2, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    found = Scores.from_confusion(matrix, "abcd")  # b is never predicted, c never occurs, d neither
    assert found.mean("recall") == pytest.approx((4 / 6 + 0) / 2)
    assert found.mean_with_zeros("recall") == pytest.approx(4 / 6 / 3)
    assert found.mean("precision") == pytest.approx((4 / 5 + 0) / 2)
    assert found.mean_with_zeros("precision") == pytest.approx(4 / 5 / 3)
    assert found.mean("iou") == found.mean_with_zeros("iou") == pytest.approx(4 / 7 / 3)


def test_json_has_no_nan():
    text = json.dumps(scores("many").summary(), allow_nan=False)
    rows = json.loads(text)["by_class"]
    assert rows[11]["iou"] is None
    assert rows[12]["precision"] is None
    assert rows[12]["iou"] == 0


def test_nothing_labeled_is_undefined():
    found = Scores.from_confusion(np.zeros((2, 2)), "ab")
    assert math.isnan(found.miou)
    assert math.isnan(found.pixel_accuracy)
    assert found.means()["miou"] is None


def test_ignored_pixels_do_not_count_whatever_is_predicted():
    label = torch.tensor([[0, 255, 1], [255, 1, 0]])
    predicted = torch.tensor([[0, 99, 0], [1, 1, 0]])
    assert confusion_matrix(predicted, label, 2).tolist() == [[2, 0], [1, 1]]
    assert confusion_matrix(predicted.int(), label.to(torch.uint8), 2).tolist() == [[2, 0], [1, 1]]
    assert confusion_matrix(predicted, torch.full((2, 3), 255), 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("label", "predicted", "told"),
    [
        ([0, 7, 7], [0, 0, 0], "the label has the value 7 (2 px); expected classes 0 to 2, or 255"),
        ([0, -1, 1], [0, 0, 0], "the label has the value -1 (1 px)"),
        ([0, 3, 1], [0, 0, 0], "the label has the value 3 (1 px)"),
        ([0, 1, 1], [0, 3, 0], "the prediction has the value 3 (1 px)"),
        ([0, 1], [0, 3, 0], "the prediction is 1×3 px, the label 1×2"),
    ],
)
def test_what_cannot_be_counted(label, predicted, told):
    with pytest.raises(ScoreError) as raised:
        confusion_matrix(torch.tensor([predicted]), torch.tensor([label]), 3)
    assert told in str(raised.value)


def drawn_counts(rng, images, classes=4):
    """Images with random numbers of pixels by class, hits, and pixels predicted so."""
    truth = rng.integers(50, 400, (images, classes))
    hits = rng.binomial(truth, rng.uniform(0.3, 0.9, (images, classes)))
    return np.stack([hits, hits + rng.integers(0, 100, (images, classes)), truth], 1)


def miou_of(counts):
    hits, predicted, truth = counts.sum(0)
    return np.mean(hits / (predicted + truth - hits))


def test_the_jackknife_leaves_out_one_image_after_another():
    counts = drawn_counts(np.random.default_rng(0), 11)
    without = np.array([miou_of(np.delete(counts, i, 0)) for i in range(11)])
    expected = np.sqrt(10 / 11 * ((without - without.mean()) ** 2).sum())
    assert miou_stderr(counts) == pytest.approx(expected, rel=1e-12)


def test_the_error_is_the_spread_over_other_images():
    rng = np.random.default_rng(1)
    runs = [drawn_counts(rng, 40) for _ in range(300)]
    spread = np.std([miou_of(counts) for counts in runs])
    # The spread of 300 runs is known to 4 %, the mean of the errors better; the jackknife is a little large.
    assert np.mean([miou_stderr(counts) for counts in runs]) == pytest.approx(spread, rel=0.15)


def test_a_class_in_one_image_leaves_the_mean_with_it():
    counts = drawn_counts(np.random.default_rng(0), 9)
    counts[1:, :, 2] = 0
    without = [miou_of(np.delete(counts, i, 0)) for i in range(1, 9)]
    without.append(miou_of(counts[1:][:, :, [0, 1, 3]]))
    expected = np.sqrt(8 / 9 * ((without - np.mean(without)) ** 2).sum())
    assert miou_stderr(counts) == pytest.approx(expected, rel=1e-12)


def test_few_images_have_no_error():
    counts = drawn_counts(np.random.default_rng(0), MIN_IMAGES)
    assert miou_stderr(counts) > 0
    assert miou_stderr(counts[1:]) is None
