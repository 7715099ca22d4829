"""torchvision's state dicts, recognized where torchvision isn't installed."""

import sys

import pytest
import torch

import erfscope
from erfscope.errors import CheckpointError
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network


@pytest.fixture(autouse=True)
def _no_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)


@pytest.fixture(scope="module", params=["torchvision-fcn", "torchvision-deeplabv3"])
def network(request):
    return request.param, build_network(describe_network(request.param, num_classes=4), seed=3)


def save(path, state):
    torch.save(state, path)
    return str(path)


@pytest.mark.slow
def test_every_tensor_matches(network, tmp_path):
    name, theirs = network
    auxiliary = {"aux_classifier.0.weight": torch.zeros(2, 2, 1, 1)}
    ours = erfscope.load_model(save(tmp_path / "w.pth", {**theirs.state_dict(), **auxiliary}))
    info = ours.info
    assert (info.name, info.format) == (name, "torchvision state dict")
    assert info.detected_by == f"all its tensors, which are those of {name} on resnet50"
    assert info.options["num_classes"] == 4
    assert (info.weights.missing, info.weights.unexpected, info.weights.left_out) == ((), (), 1)
    assert info.trained_settings == {}
    for key, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], tensor), key


@pytest.mark.slow
def test_within_a_training_module(network, tmp_path):
    name, theirs = network
    state = {f"net.{key}": tensor for key, tensor in theirs.state_dict().items()} | {
        "loss.weight": torch.ones(4)
    }
    info = erfscope.load_model(save(tmp_path / "w.ckpt", {"state_dict": state})).info
    assert (info.name, info.options["num_classes"], info.weights.missing) == (name, 4, ())


@pytest.mark.slow
@pytest.mark.parametrize("change", ["missing", "extra", "reshaped"])
def test_all_but_one_tensor_are_not_enough(change, network, tmp_path):
    name, theirs = network
    state = dict(theirs.state_dict())
    if change == "missing":
        del state["backbone.layer4.2.bn3.bias"]
    elif change == "extra":
        state["neck.weight"] = torch.zeros(2)
    else:
        state["backbone.conv1.weight"] = torch.zeros(64, 4, 7, 7)
    with pytest.raises(CheckpointError, match=f"closest in the catalog: --model {name} --backbone resnet50"):
        erfscope.load_model(save(tmp_path / "w.pth", state))


def test_stride_and_rates_can_be_changed(tmp_path):
    theirs = build_network(describe_network("torchvision-deeplabv3", num_classes=4))
    path = save(tmp_path / "w.pth", theirs.state_dict())
    info = erfscope.load_model(path, output_stride=16).info
    assert (info.options["output_stride"], info.options["rates"]) == (16, [6, 12, 18])
    assert info.trained_settings == {"output_stride": 8, "rates": [12, 24, 36]}
    with pytest.raises(
        CheckpointError, match="--backbone can't be changed: the weights are those of torchvision-"
    ):
        erfscope.load_model(path, backbone="resnet18")
