"""A backbone's weights from a file: by our own names here, by other libraries' in `interop`."""

import pytest
import torch
from safetensors.torch import save_file
from small_training import recipe

from erfscope.errors import CheckpointError, TrainError
from erfscope.train.network.pretrained import load_pretrained
from erfscope.train.training_setup import open_setup
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network


def network(seed=0, **options):
    return build_network(describe_network("fcn", **{"backbone": "resnet18", **options}), seed=seed)


@pytest.fixture(scope="module")
def backbone():
    return network(seed=7).backbone.state_dict()


WRAPPINGS = {
    "bare": lambda state: state,
    "classifier": lambda state: {**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)},
    "openmmlab": lambda state: {
        "meta": {},
        "state_dict": {f"backbone.{name}": tensor for name, tensor in state.items()}
        | {"head.fc.weight": torch.zeros(1000, 512)},
    },
    "whole network": lambda state: (
        network(seed=8).state_dict() | {f"backbone.{name}": tensor for name, tensor in state.items()}
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_backbone_is_found_in_any_wrapping(wrapping, backbone, tmp_path):
    torch.save(WRAPPINGS[wrapping](backbone), tmp_path / "w.pth")
    other = network(output_stride=16)
    head = {name: tensor.clone() for name, tensor in other.decode_head.state_dict().items()}
    report = load_pretrained(other, tmp_path / "w.pth")
    assert report.missing == ()
    assert len(report.matched) == 100
    loaded = other.backbone.state_dict()
    assert all(torch.equal(loaded[name], backbone[name]) for name in report.matched)
    assert all(torch.equal(other.decode_head.state_dict()[name], tensor) for name, tensor in head.items())


def test_safetensors(backbone, tmp_path):
    save_file(backbone, tmp_path / "w.safetensors")
    assert load_pretrained(network(), tmp_path / "w.safetensors").missing == ()


def test_a_few_missing_tensors_are_told_many_refused(backbone, tmp_path):
    few = {name: tensor for name, tensor in backbone.items() if name != "layer1.0.conv1.weight"}
    torch.save(few, tmp_path / "few.pth")
    assert load_pretrained(network(), tmp_path / "few.pth").missing == ("layer1.0.conv1.weight",)
    half = {name: tensor for name, tensor in backbone.items() if not name.startswith("layer4")}
    torch.save(half, tmp_path / "half.pth")
    with pytest.raises(TrainError, match=r"matches only \d+% of the backbone, a ResNet \(missing layer4"):
        load_pretrained(network(), tmp_path / "half.pth")


@pytest.mark.parametrize("other", ["resnet50", "resnet18-v1c"])
def test_another_backbone_is_refused(other, backbone, tmp_path):
    torch.save(backbone, tmp_path / "w.pth")
    with pytest.raises(TrainError, match="of the same --backbone") as caught:
        load_pretrained(network(backbone=other), tmp_path / "w.pth")
    assert "\n" not in str(caught.value)


def test_broken_values_are_refused(backbone, tmp_path):
    torch.save({**backbone, "bn1.bias": torch.full((64,), float("nan"))}, tmp_path / "w.pth")
    with pytest.raises(TrainError, match=r"64 values are NaN or infinite \(first in bn1.bias\)"):
        load_pretrained(network(), tmp_path / "w.pth")


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(CheckpointError):
        load_pretrained(network(), tmp_path / "none.pth")


def test_a_recipe_names_the_file(backbone, tmp_path):
    torch.save(backbone, tmp_path / "w.pth")
    plan = {"model": "fcn", "backbone": "resnet18", "pretrained": str(tmp_path / "w.pth")}
    setup = open_setup(recipe(network=plan))
    assert torch.equal(setup.network.backbone.conv1.weight, backbone["conv1.weight"])
    assert setup.pretrained.source == str(tmp_path / "w.pth")
    assert open_setup(recipe(network=plan | {"pretrained": None})).pretrained is None
