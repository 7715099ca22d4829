"""A star of known places, with all that a report tells of it."""

import numpy as np
import pytest
from simulated_maps import Blob, clipped_sums, star_variance

from erfscope.measure.gaussian.gaussian_fit import fit_gaussian, gaussian_residual
from erfscope.measure.star import measure_star
from erfscope.records.erf_map import ErfMap
from erfscope.records.unit import Unit
from erfscope.report.map_view import Findings

SIZE, CENTER, DISTANCES = (161, 201), (80.0, 100.0), (24, 48, 64)


@pytest.fixture(scope="session")
def star_map() -> ErfMap:
    groups = clipped_sums(star_variance(SIZE, CENTER, DISTANCES, Blob(4.0)), images=16)
    lattice = [
        [float(dy * d), float(dx * d)]
        for d in DISTANCES
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
        if (dy, dx) != (0, 0)
    ]
    prediction = {
        "pattern": "star",
        "projected_center": {"y_px": 80.0, "x_px": 100.0},
        "lattice": [[0.0, 0.0], *lattice],
        "output_stride": 8.0,
        "read_stride": 8.0,
        "rates": [3, 6, 8],
        "center_to_center_px": 128.0,
        "end_to_end_convention_px": 160.0,
        "recommended_rate": 3.0,
        "flags": [],
        "flag_codes": [],
    }
    return ErfMap(
        groups.sum(0),
        Unit(80, 100),
        CENTER,
        "paper",
        "logits",
        16,
        replicates=groups.astype(np.float32),
        provenance={"prediction": prediction, "network": {"name": "star-net"}},
    )


@pytest.fixture(scope="session")
def findings(star_map) -> Findings:
    fit = fit_gaussian(star_map.erf, CENTER, "rotated")
    residual = gaussian_residual(star_map.erf, fit)
    star = measure_star(star_map.erf, CENTER)
    return Findings(star, fit, residual, star_map.provenance["prediction"])
