"""The spread over random weights: drawn beside the file, drawn once, never of trained weights."""

from contextlib import nullcontext

import numpy as np
import pytest
from simulated_maps import Blob, clipped_sums, star_variance

import erfscope
from erfscope.errors import MapError
from erfscope.records.erf_map import ErfMap
from erfscope.records.unit import Unit
from erfscope.store.write import write_map
from erfscope.workflows.weight_seeds import measure_over_weights


def silent(label, total):
    return nullcontext(lambda done, skipped: None)


def star_map(seed, distance):
    variance = star_variance((161, 161), (80.0, 80.0), (distance / 2, distance), Blob(3.0), spread=0.1)
    groups = clipped_sums(variance, images=32, seed=seed)
    provenance = {"weights": {"source": "random", "seed": seed}, "network": {"parts": {"type": "a star's"}}}
    return ErfMap(groups.sum(0), Unit(80, 80), (80.0, 80.0), "paper", "logits", 32, provenance=provenance)


def test_spread_is_that_of_the_draws(tmp_path):
    distances = (47.0, 48.0, 50.0)
    for name, seed, distance in zip(("erf", "erf.seed6", "erf.seed7"), (5, 6, 7), distances, strict=True):
        write_map(star_map(seed, distance), tmp_path / f"{name}.h5", overwrite=False)
    found = measure_over_weights(tmp_path / "erf.h5", 2, silent)
    assert found["seeds"] == [5, 6, 7]
    across = 2 * np.array(distances)
    assert found["center_to_center_px"] == pytest.approx(across, abs=1)
    assert found["mean_px"] == pytest.approx(across.mean(), abs=1)
    assert found["spread_px"] == pytest.approx(np.std(across, ddof=1), abs=1)
    assert found["stderr_px"] == pytest.approx(found["spread_px"] / 3**0.5)


@pytest.mark.slow
def test_draws_have_other_weights_and_the_same_images(tmp_path):
    model = erfscope.load_model("fcn", backbone="resnet18", num_classes=3, seed=5)
    images = erfscope.open_dataset("synthetic-leaves", images=2, size=(65, 73), seed=9)
    own = erfscope.compute_erf(model, images, unit=(30, 41), replicates=0, target="margin", seed=4)
    write_map(own, tmp_path / "erf.h5", overwrite=False)
    assert measure_over_weights(tmp_path / "erf.h5", 1, silent)["mean_px"] is None  # an FCN has no star
    beside = tmp_path / "erf.seed6.h5"
    drawn = erfscope.load_erf(beside)
    again = erfscope.load_model("fcn", backbone="resnet18", num_classes=3, seed=6)
    expected = erfscope.compute_erf(again, images, unit=(30, 41), replicates=0, target="margin")
    np.testing.assert_allclose(drawn.erf, expected.erf, rtol=1e-6, atol=expected.erf.max() * 1e-6)
    assert drawn.provenance["seed"] == 4
    assert drawn.weights_label == "random weights (seed 6)"
    before = beside.stat().st_mtime_ns
    measure_over_weights(tmp_path / "erf.h5", 1, silent)
    assert beside.stat().st_mtime_ns == before


def test_foreign_file_beside_is_left_alone(tmp_path):
    write_map(star_map(5, 48.0), tmp_path / "erf.h5", overwrite=False)
    other = star_map(6, 48.0)
    other.provenance["network"]["parts"] = {"type": "another"}
    write_map(other, tmp_path / "erf.seed6.h5", overwrite=False)
    with pytest.raises(MapError, match="another network or other images"):
        measure_over_weights(tmp_path / "erf.h5", 1, silent)


@pytest.mark.parametrize("source", ["weights.pth", "as given"])
def test_trained_weights_have_no_spread(tmp_path, source):
    erf = star_map(5, 48.0)
    erf.provenance["weights"]["source"] = source
    write_map(erf, tmp_path / "erf.h5", overwrite=False)
    with pytest.raises(MapError, match="untrained network"):
        measure_over_weights(tmp_path / "erf.h5", 1, silent)


def test_images_from_python_cannot_be_opened_again(tmp_path):
    erf = star_map(5, 48.0)
    erf.provenance.update(dataset={"name": "given list"}, engine={"unit": None, "target": None})
    write_map(erf, tmp_path / "erf.h5", overwrite=False)
    with pytest.raises(MapError, match="handed over in Python"):
        measure_over_weights(tmp_path / "erf.h5", 1, silent)
