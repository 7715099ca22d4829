"""The curves of a training show the log's rows, and nothing else."""

import numpy as np
import pytest

from erfscope.report.training_curves import draw_curves, running_mean


def rows(count=10, scored=(5, 10)):
    steps = [{"iteration": k, "loss": 2.0 / k, "lr": 0.01 * (1 - k / 20)} for k in range(1, count + 1)]
    return steps + [{"iteration": k, "miou": 0.05 * k if k != 10 else 0.2} for k in scored]


def test_panels_and_values():
    figure = draw_curves(rows(), title="run")
    loss, miou, rate = figure.axes
    assert np.allclose(loss.lines[0].get_xydata(), [[k, 2.0 / k] for k in range(1, 11)])
    assert np.allclose(rate.lines[0].get_xydata(), [[k, 0.01 * (1 - k / 20)] for k in range(1, 11)])
    assert np.allclose(miou.lines[0].get_xydata(), [[5, 25.0], [10, 20.0]])
    assert np.allclose(miou.lines[1].get_xydata(), [[5, 25.0]])  # the best is marked
    assert miou.texts[0].get_text() == "best 25.00 % at 5"
    assert figure.get_suptitle() == "run"


def test_without_a_validation():
    loss, rate = draw_curves(rows(scored=()), title="run").axes
    assert (loss.get_ylabel(), rate.get_ylabel()) == ("loss", "learning rate")
    draw_curves([{"iteration": 1, "miou": None}, *rows(1, ())], title="run")


def test_long_logs_are_smoothed():
    assert len(draw_curves(rows(49, ()), title="").axes[0].lines) == 1
    raw, mean = draw_curves(rows(50, ()), title="").axes[0].lines
    values = np.asarray(raw.get_ydata())
    assert np.asarray(mean.get_ydata())[-1] == pytest.approx(values[-25:].mean())


@pytest.mark.parametrize("width", [1, 3, 10])
def test_running_mean(width):
    values = np.random.default_rng(0).random(8)
    expected = [values[max(0, k - width + 1) : k + 1].mean() for k in range(8)]
    assert running_mean(values, width) == pytest.approx(expected)


def test_a_loss_that_falls_far_is_drawn_on_a_logarithm():
    assert draw_curves(rows(10, ()), title="").axes[0].get_yscale() == "linear"
    assert draw_curves(rows(30, ()), title="").axes[0].get_yscale() == "log"
