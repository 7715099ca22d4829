"""Prediction and measurement side by side: neither touches the other."""

from dataclasses import replace

import numpy as np
import pytest
from simulated_maps import Blob, clipped_sums, star_variance

from erfscope.records.erf_map import ErfMap
from erfscope.records.star import StarMeasurement
from erfscope.records.unit import Unit
from erfscope.store.write import write_map
from erfscope.workflows.measurements import fit_gaussian
from erfscope.workflows.star_prediction import compare_to_prediction, measure_star_file

PREDICTED = {"pattern": "star", "center_to_center_px": 96.0, "read_stride": 8.0, "rates": [2, 4, 6]}


@pytest.fixture(scope="module")
def star_map():
    variance = star_variance((161, 161), (80.0, 80.0), (16, 32, 48), Blob(3.0), spread=0.1)
    groups = clipped_sums(variance, images=32, seed=3)
    return ErfMap(
        erf=groups.sum(0),
        unit=Unit(80, 80),
        projected_center=(80.0, 80.0),
        formula="paper",
        target="logits",
        images=32,
        replicates=groups.astype(np.float32),
        provenance={"prediction": PREDICTED},
    )


def measured(path, erf):
    write_map(erf, path, overwrite=True)
    return measure_star_file(path)


def test_each_ring_is_named_by_its_rate(tmp_path, star_map):
    facts = measured(tmp_path / "erf.h5", star_map)
    assert facts["pattern"] == facts["predicted_pattern"] == "star"
    assert facts["within_errors"] is True
    assert [ring["rate"] for ring in facts["predicted_rings"]] == [2, 4, 6]
    for ring, distance in zip(facts["predicted_rings"], (16, 32, 48), strict=True):
        assert ring["predicted_distance_px"] == distance
        assert abs(ring["relative_error"]) < 0.03  # a few tenths of a pixel
    error = (facts["center_to_center_px"] - 96) / 96
    assert facts["relative_error"] == pytest.approx(error, abs=1e-12)


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_a_wrong_prediction_changes_no_measured_number(tmp_path, star_map, factor):
    wrong = PREDICTED | {"center_to_center_px": 96 * factor, "read_stride": 8 * factor}
    mistaken = replace(star_map, provenance={"prediction": wrong})
    with_right, with_wrong = (measured(tmp_path / "erf.h5", erf) for erf in (star_map, mistaken))
    told = {"predicted_center_to_center_px", "relative_error", "within_errors", "predicted_rings"}
    assert {key: with_right[key] for key in with_right.keys() - told} == {
        key: with_wrong[key] for key in with_wrong.keys() - told
    }
    assert with_wrong["within_errors"] is False


def test_without_a_prediction_or_a_star():
    nothing = compare_to_prediction(StarMeasurement("none", (0.0, 0.0)), {}, 80.5)
    assert nothing["predicted_rings"] == []
    assert nothing["prediction_flags"] == []
    lists = {"predicted_rings", "prediction_flags", "prediction_flag_codes"}
    assert {value for key, value in nothing.items() if key not in lists} == {None}
    unseen = compare_to_prediction(StarMeasurement("none", (0.0, 0.0)), PREDICTED, 80.5)
    assert unseen["relative_error"] is None
    assert [ring["measured_distance_px"] for ring in unseen["predicted_rings"]] == [None] * 3


def test_a_ring_outside_the_map_is_not_compared_with_one_inside(tmp_path, star_map):
    wide = PREDICTED | {"center_to_center_px": 192.0, "rates": [2, 4, 6, 12]}
    facts = measured(tmp_path / "erf.h5", replace(star_map, provenance={"prediction": wide}))
    assert facts["center_to_center_px"] == pytest.approx(96, abs=1)
    assert facts["predicted_center_to_center_px"] == 192.0
    assert (facts["relative_error"], facts["within_errors"]) == (None, None)
    assert [ring["in_map"] for ring in facts["predicted_rings"]] == [True, True, True, False]
    assert "outside the map" in facts["prediction_flags"][0]


def test_a_gaussian_over_a_star_is_flagged(star_map):
    assert "star_in_residual" in [flag.code for flag in fit_gaussian(star_map).flags]
    y, x = np.indices(star_map.size) - 80.0
    smooth = np.exp(-0.5 * (y**2 + x**2) / 20**2)
    round_map = replace(star_map, erf=smooth, replicates=None)
    assert "star_in_residual" not in [flag.code for flag in fit_gaussian(round_map).flags]
