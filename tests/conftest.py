"""Networks and maps that many tests share."""

from dataclasses import replace
from functools import cache

import matplotlib as mpl
import pytest
from small_networks import SmallNet, noise_images, seeded
from torch import nn

import erfscope
from erfscope.engine.engines import trace_unit_map
from erfscope.engine.probe import probe
from erfscope.records.erf_map import ErfMap

mpl.use("agg")


@pytest.fixture
def small_net() -> nn.Module:
    return seeded(SmallNet()).train()  # in training mode, as a caller may have left it


@pytest.fixture(scope="session")
def small_map() -> ErfMap:
    """A map of a few images of 33×41 px, with replicates and provenance."""
    return erfscope.compute_erf(seeded(SmallNet()), noise_images(20, (33, 41)))


@pytest.fixture(scope="session")
def real_star() -> ErfMap:
    """DeepLabV3-ResNet-18 at stride 8, rates 12, 24, 36, untrained, 769×769: the study's star, 576 px."""
    model = erfscope.load_model("deeplabv3", backbone="resnet18", output_stride=8)
    return erfscope.compute_erf(model, erfscope.open_dataset("synthetic-leaves", images=10, labels=False))


@pytest.fixture
def captured_once(monkeypatch):
    """Probe a network once and capture it once a precision, where both engines compute its map."""
    flows = {}

    def build_access_graph(model, plan):
        key = (model, plan.size, plan.unit.layer, plan.resize, plan.batch_size, plan.precision)
        if key not in flows:
            flows[key] = trace_unit_map(model, plan)
        return flows[key]

    monkeypatch.setattr("erfscope.engine.plan.probe", cache(probe))
    monkeypatch.setattr("erfscope.engine.engines.trace_unit_map", build_access_graph)
    return build_access_graph


@pytest.fixture
def predicted_from_it(captured_once, monkeypatch):
    """Predict from the graph in float64 that gave the map; predictions read no weights."""

    def build_access_graph(model, plan):
        return captured_once(model, replace(plan, precision="float64"))

    monkeypatch.setattr("erfscope.workflows.predict_fov.trace_unit_map", build_access_graph)
