"""One verdict for each kind of map, and thresholds on either side."""

from dataclasses import replace

import numpy as np
import pytest
from simulated_maps import Blob, clipped_sums, star_variance, texture
from tiers import representatives

from erfscope.records.erf_map import ErfMap
from erfscope.records.pattern import PATTERNS
from erfscope.records.unit import Unit
from erfscope.workflows.measurements import classify_pattern

SIZE = (225, 225)
CENTER = (112.0, 112.0)


def gaussian(sigma_x, sigma_y, *, y0=112.0, floor=0.0):
    """(H, W) variance whose root is a Gaussian on a floor."""
    y, x = np.arange(SIZE[0])[:, None], np.arange(SIZE[1])[None]
    bump = np.exp(-0.5 * ((y - y0) / sigma_y) ** 2 - 0.5 * ((x - 112) / sigma_x) ** 2)
    return (bump + floor) ** 2


def verdict(variance, *, images=64, seed=0):
    groups = clipped_sums(variance, images=images, seed=seed, heavy=0.0)
    return classify_pattern(
        ErfMap(
            erf=groups.sum(0),
            unit=Unit(112, 112),
            projected_center=CENTER,
            formula="paper",
            target="logits",
            images=images,
            replicates=groups.astype(np.float32),
        )
    )


VARIANCES = {
    "star": lambda: star_variance(SIZE, CENTER, (30, 60, 90), Blob(5.0)),
    "grid": lambda: star_variance(SIZE, CENTER, (40, 80), Blob(5.0), grid=True),
    "patch-partitioned": lambda: gaussian(60, 60, floor=0.1) * texture(SIZE, 16, 1.2) ** 2,
    "local": lambda: gaussian(6, 6),
    "gaussian": lambda: gaussian(30, 30, floor=0.02),
    "asymmetric-gaussian": lambda: gaussian(36, 28, y0=120.0, floor=0.02),
    "diffuse": lambda: np.ones(SIZE),
}


@pytest.mark.parametrize("kind", representatives(sorted(PATTERNS), ("gaussian", "patch-partitioned", "star")))
def test_each_kind_is_named(kind):
    found = verdict(VARIANCES[kind]())
    assert found.pattern == kind, found.scores
    assert set(found.scores) == set(PATTERNS)
    assert all(0 <= score <= 1 for score in found.scores.values())
    assert (found.patch_size_px == 16) == (kind == "patch-partitioned")


def test_an_asymmetry_needs_more_than_certainty():
    # One percent between the sigmas is told by many images, but is no asymmetric pattern.
    assert verdict(gaussian(30.3, 30.0, floor=0.02), images=256).pattern == "gaussian"


def test_without_replicates_no_asymmetry_is_claimed():
    groups = clipped_sums(gaussian(36, 28, y0=120.0, floor=0.02), images=16)
    erf = ErfMap(groups.sum(0), Unit(112, 112), CENTER, "paper", "logits", 16)
    found = classify_pattern(erf)
    assert found.pattern == "gaussian"
    assert any("asymmetry unknown" in flag.message for flag in found.flags)
    assert classify_pattern(replace(erf, erf=erf.erf * 1e9)).pattern == "gaussian"
