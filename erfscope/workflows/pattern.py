"""From a map to the one word for it."""

from dataclasses import replace

import numpy as np

from erfscope.measure.patches import measure_patches
from erfscope.measure.pattern import classify
from erfscope.records.erf_map import ErfMap
from erfscope.records.pattern import Pattern
from erfscope.workflows.measurements import fit_gaussian, measure_star


def classify_pattern(erf: ErfMap) -> Pattern:
    """Name what a map looks like; see `measure.pattern.classify`."""
    total = float(np.maximum(erf.erf, 0).sum())
    found = classify(measure_star(erf), measure_patches(erf.erf), fit_gaussian(erf), erf.size, total)
    return replace(found, flags=(*erf.flags, *found.flags))
