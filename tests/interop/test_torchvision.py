"""torchvision's own networks: their state dicts load strictly and give the same logits and maps."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from same_outputs import assert_same_outputs
from small_networks import noise_images
from tiers import representatives

import erfscope

PAIRS = {"torchvision-deeplabv3": "deeplabv3", "torchvision-fcn": "fcn"}
NETWORKS = [f"{name} {backbone}" for name in PAIRS for backbone in ("resnet50", "resnet101")]


@pytest.fixture(scope="module", params=representatives(NETWORKS, NETWORKS[:1]))
def pair(request, torchvision):
    name, backbone = request.param.split()
    torch.manual_seed(0)
    build = getattr(torchvision.models.segmentation, f"{PAIRS[name]}_{backbone}")
    theirs = build(weights=None, weights_backbone=None, aux_loss=True, num_classes=7).eval()
    with torch.no_grad():
        for module in theirs.modules():  # statistics that are not the identity, kept small for 101 layers
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.3, 0.7)
    return name, backbone, theirs


def test_state_dict_loads_and_logits_agree(pair, tmp_path):
    name, backbone, theirs = pair
    path = tmp_path / "weights.safetensors"
    save_file(theirs.state_dict(), path)
    ours = erfscope.load_model(name, backbone=backbone, checkpoint=path)
    weights = ours.info.weights
    assert (weights.missing, weights.unexpected) == ((), ())
    assert weights.left_out > 0  # the auxiliary classifier
    assert len(weights.sha256) == 64
    image = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        assert_same_outputs(ours(image), theirs(image)["out"])


@pytest.mark.slow
@pytest.mark.parametrize("pair", NETWORKS[:1], indirect=True)
def test_maps_agree(pair, tmp_path):
    name, backbone, theirs = pair
    torch.save({"model": theirs.state_dict()}, tmp_path / "nested.pth")
    ours = erfscope.load_model(name, backbone=backbone, checkpoint=tmp_path / "nested.pth")
    images = noise_images(2, (49, 65))
    found, expected = (erfscope.compute_erf(each, images, precision="float64").erf for each in (ours, theirs))
    # The same operations in float64; in float32, rounding decides some ReLUs.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * expected.max())
