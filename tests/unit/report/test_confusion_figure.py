"""The figure of a confusion matrix shows what it says, with few classes and with many."""

from itertools import pairwise

import numpy as np
import pytest

from erfscope.records.scores import Evaluation, Scores
from erfscope.report.confusion_figure import draw_confusion


def evaluation(matrix, classes=None):
    matrix = np.array(matrix, np.int64)
    names = classes or tuple(f"class {k}" for k in range(len(matrix)))
    provenance = {
        "network": {"name": "fcn", "options": {"backbone": "resnet18"}},
        "weights": {"label": "random weights (seed 0)"},
        "dataset": {"name": "cityscapes", "split": "val"},
    }
    scores = Scores.from_confusion(matrix, names, miou_stderr=0.0123)
    return Evaluation(scores, {}, matrix, 4, provenance=provenance)


def drawn(figure):
    figure.draw_without_rendering()
    return figure.axes[0]


def test_rows_are_shares_of_the_true_class():
    axes = drawn(draw_confusion(evaluation([[60, 20, 0], [1, 99, 0], [0, 0, 0]])))
    (image,) = [each for each in axes.get_children() if each.get_gid() == "confusion"]
    shares = np.ma.filled(image.get_array().astype(float), np.nan)
    np.testing.assert_allclose(shares, [[0.75, 0.25, 0], [0.01, 0.99, 0], [np.nan] * 3])
    cells = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "75.0", (0, 1): "25.0", (1, 0): "1.0", (1, 1): "99.0"}
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "class 0  74.1", "class 1  82.5", "class 2  –",
    ]  # fmt: skip
    assert "gray: no pixel" in axes.get_xlabel()


def test_the_title_tells_whose_it_is():
    title = draw_confusion(evaluation([[9, 1], [2, 8]]))._suptitle.get_text()
    for words in ("fcn resnet18", "random weights", "cityscapes val", "4 images", "whole images", "± 1.23 %"):
        assert words in title


@pytest.mark.slow
@pytest.mark.parametrize("classes", [1, 2, 19, 150])
def test_names_stay_readable_and_apart(classes):
    matrix = np.random.default_rng(0).integers(1, 100, (classes, classes))
    figure = draw_confusion(evaluation(matrix, tuple(f"a $long$ name_{k}" for k in range(classes))))
    axes = drawn(figure)
    labels = axes.get_yticklabels()
    assert all(label.get_fontsize() >= 6 for label in labels)  # points, as in journals' figures
    boxes = [label.get_window_extent() for label in labels]
    assert all(above.y0 >= below.y1 for above, below in pairwise(boxes))
    assert bool(axes.texts) == (classes <= 40)
    frame = figure.bbox
    (bar,) = axes.child_axes
    for artist in (*labels, *axes.get_xticklabels(), axes.yaxis.label, axes.xaxis.label, bar.yaxis.label):
        box = artist.get_window_extent()
        assert box.x0 >= frame.x0
        assert box.y0 >= frame.y0
        assert box.x1 <= frame.x1
        assert box.y1 <= frame.y1
