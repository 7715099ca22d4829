"""Networks and maps that many tests share."""

import matplotlib as mpl
import pytest
from small_networks import SmallNet, noise_images, seeded
from torch import nn

import erfscope
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
