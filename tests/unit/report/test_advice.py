"""The advice says what the study's guideline gives, and no more than is known."""

import pytest

from erfscope.report.advice import Crop, advise
from erfscope.theory import recommend_rate

NO_STAR = {"pattern": "none", "score": 0.12, "threshold": 0.65, "center_to_center_px": None}


def star(across, pattern="star", relative_error=0.001):
    return {**NO_STAR, "pattern": pattern, "center_to_center_px": across, "relative_error": relative_error}


def predicted(across, rates, stride, pattern="star"):
    return {"pattern": pattern, "center_to_center_px": across, "rates": list(rates), "read_stride": stride}


def crop(side):
    return Crop(side, "given")


def test_the_studys_example():
    advice = advise(predicted(576.0, (12, 24, 36), 8.0), star(575.7), crop(769))
    assert advice.text == (
        "This network reads 608 px (center to center 576 px plus 32 px); your crop is 769 px: "
        "use base rate 15 (15, 30, 45) at stride 8."
    )
    guideline = recommend_rate(769, 8)
    assert (advice.rate, advice.rates) == (guideline.rate, guideline.rates)
    assert advice.notes == ("The crop of 769 px is given.", "Exactly, r* = 15.35.")


def test_a_star_larger_than_the_crop():
    advice = advise(predicted(576.0, (12, 24, 36), 8.0), star(576.0), crop(513))
    assert (
        "more than your crop of 513 px: use the smaller base rate 10 (10, 20, 30) at stride 8" in advice.text
    )


def test_rates_that_fit_are_kept():
    assert "keep base rate 15" in advise(predicted(720.0, (15, 30, 45), 8.0), star(720.0), crop(769)).text


def test_a_grid():
    advice = advise(predicted(384.0, (6, 6), 16.0, "grid"), star(380.0, "grid"), crop(512))
    assert advice.rates == (8, 8)  # (512 − 32) / (4 · 16) = 7.5
    assert advice.text.endswith("use rate 8 at stride 16.")


def test_unlike_convolutions_in_a_row_have_no_formula():
    advice = advise(predicted(300.0, (3, 6), 16.0, "grid"), star(300.0, "grid"), crop(512))
    assert advice.rates is None
    assert "No rate is to be advised" in advice.text


def test_a_crop_too_small_for_any_rate():
    advice = advise(predicted(576.0, (6, 12, 18), 16.0), star(576.0), crop(64))
    assert advice.rates is None
    assert "no atrous rate at stride 16 is small enough (r* = 0.33)" in advice.text


def test_a_star_without_a_prediction_gives_a_factor():
    advice = advise({}, star(576.0, relative_error=None), crop(769))
    assert "multiply your atrous rates by 1.28" in advice.text  # (769 − 32) / 576
    assert advice.rates is None
    assert "too small" in advise({}, star(576.0), crop(30)).text


@pytest.mark.parametrize(
    ("prediction", "reason"), [({}, "no prediction"), ({"pattern": "none"}, "no atrous convolutions")]
)
def test_without_a_star_no_rate_is_advised(prediction, reason):
    advice = advise(prediction, NO_STAR, crop(769))
    assert advice.text.startswith("No rate is to be advised")
    assert reason in advice.text
    assert "score 0.12, threshold 0.65" in advice.text
    assert (advice.rate, advice.rates) == (None, None)


def test_what_does_not_agree_is_said():
    prediction = predicted(576.0, (12, 24, 36), 8.0)
    assert any("no star was found" in note for note in advise(prediction, NO_STAR, crop(769)).notes)
    assert any(
        "a grid, but a star" in note for note in advise(prediction, star(576, "grid"), crop(769)).notes
    )
    off = advise(prediction, star(400.0, relative_error=-0.31), crop(769))
    assert any("400 px from center to center, 31% less than predicted" in note for note in off.notes)
    surprise = advise({"pattern": "none"}, star(400.0), crop(769))
    assert "looks like a star 400 px wide" in surprise.text
