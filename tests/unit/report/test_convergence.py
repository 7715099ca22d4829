"""The figure of errors against images shows the checks, and leads on as the root of the images does."""

from dataclasses import replace

import numpy as np
import pytest

from erfscope.records.convergence import ErrorCheck
from erfscope.report.convergence_figure import draw_convergence, say_images
from erfscope.report.tables import convergence_table

LAST = ErrorCheck(64, 0.02, 0.01, "star", 3, 20.0, 400.0, 2.5)
CHECKS = (replace(LAST, images=32, map_error=0.03, arm_error=0.02), LAST)
PLAIN = replace(
    LAST, pattern="none", rings=0, arm_error=None, center_to_center_px=None, center_to_center_stderr_px=None
)


def drawn(*checks, until=None):
    (axes,) = draw_convergence(checks, until=until, title="whose").axes
    return axes, {line.get_label(): np.asarray(line.get_xydata()) for line in axes.lines}


def test_both_errors_of_every_check_are_drawn():
    axes, lines = drawn(*CHECKS)
    np.testing.assert_allclose(lines["the smoothed map"], [(32, 0.03), (64, 0.02)])
    np.testing.assert_allclose(lines["distance of the ring that is known worst"], [(32, 0.02), (64, 0.01)])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert not any("until" in label for label in lines)


def test_the_line_goes_on_from_the_last_check():
    _, lines = drawn(*CHECKS)
    (images, errors) = lines["the same, as n$^{-1/2}$ goes on"].T
    np.testing.assert_allclose(errors * np.sqrt(images), 0.02 * 8)
    assert images[0] < 32
    assert images[-1] > 256
    np.testing.assert_allclose(lines["1 %"], [(256, 0.01)])


@pytest.mark.parametrize("error", [0.002, 0.5])
def test_a_goal_far_away_in_either_direction(error):
    axes, lines = drawn(replace(PLAIN, map_error=error))
    assert ("1 %" in lines) == (error < 0.3)  # 160 000 images are too far
    assert axes.get_xlim()[1] < 1e6
    axes.figure.draw_without_rendering()


def test_a_map_without_a_star_that_was_to_stop():
    axes, lines = drawn(PLAIN, until=0.015)
    assert "distance of the ring that is known worst" not in lines
    assert set(lines["--until 0.015"][:, 1]) == {0.015}
    assert axes.figure.get_suptitle() == "whose"


def test_in_a_sentence():
    said = "With 64 images the map is known to 2.00 %; 1 % takes about 260 images like these."
    assert say_images(64, 0.02, 256) == said
    assert "1 % takes about 13,000 images" in say_images(64, 0.142, 12_906)


def document(*checks):
    return {"checks": [check.summary() for check in checks], "sentence": "So many."}


def test_table():
    table = convergence_table(document(*CHECKS))
    assert table.header == ("images", "the map's error", "the worst ring's", "center to center")
    assert table.rows == (
        ("32", "3.00 %", "2.00 %", "400.0 ± 2.5 px"),
        ("64", "2.00 %", "1.00 %", "400.0 ± 2.5 px"),
    )
    assert table.notes[0] == "So many."
    assert "20 px" in table.notes[1]


def test_table_of_a_map_without_a_star():
    assert convergence_table(document(PLAIN)).rows == (("64", "2.00 %"),)
    assert convergence_table(None).rows == ()
