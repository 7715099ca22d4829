"""Numbers in words."""

import pytest

from erfscope.report.tables import number, percent, point, provenance_table, ring_table, with_error


@pytest.mark.parametrize(
    ("value", "stderr", "unit", "text"),
    [
        (575.74, 0.93, "px", "575.7 ± 0.9 px"),
        (575.74, 0.043, "px", "575.74 ± 0.04 px"),
        (-3.25, None, "°", "−3.2 °"),
        (0.00047131, 7.4e-6, "", "0.0004713 ± 7.4e−06"),
        (None, None, "px", "–"),
    ],
)
def test_with_error(value, stderr, unit, text):
    assert with_error(value, stderr, unit) == text


def test_numbers():
    assert number(576.0, "px") == "576 px"
    assert number(15.354, places=2) == "15.35"
    assert number(None, "px") == "–"
    assert percent(-0.0005) == "−0.05 %"
    assert percent(0.285, places=1, sign=False) == "28.5 %"
    assert point({"y_px": -1.25, "x_px": 3.0}, sign=True) == "−1.2, +3.0 px"


def test_rings_that_were_not_found_are_told():
    ring = {"distance_px": 96.4, "stderr_px": 0.5, "mass_share": 0.25, "blobs_inside": 8}
    known = {
        "rate": 12,
        "predicted_distance_px": 96.0,
        "measured_distance_px": 96.4,
        "relative_error": 0.00417,
    }
    lost = {"rate": 24, "predicted_distance_px": 192.0, "measured_distance_px": None, "relative_error": None}
    table = ring_table({"star": {"rings": [ring], "predicted_rings": [known, lost]}})
    assert table.rows == (
        ("1", "12", "96.4 ± 0.5 px", "96 px", "+0.42 %", "8", "25.0 %"),
        ("2", "24", "not found", "192 px", "–", "–", "–"),
    )


def test_provenance_is_flat_and_short():
    facts = {
        "command": "erfscope compute",
        "weights": {"sha256": "ab", "missing_names": ["x"] * 9, "seed": None},
        "prediction": {"lattice": []},
        "dataset": {"names": [str(i) for i in range(9)], "size": [5, 7], "root": ""},
    }
    assert provenance_table(facts).rows == (
        ("command", "erfscope compute"),
        ("weights.sha256", "ab"),
        ("dataset.names", "9 entries"),
        ("dataset.size", "5, 7"),
    )
