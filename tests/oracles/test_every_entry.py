"""One tester that every catalog entry passes."""

import pytest
import torch
from same_outputs import assert_same_outputs
from small_networks import small
from tiers import NETWORKS
from torch import nn

import erfscope
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import CATALOG, describe_network


@pytest.fixture(params=CATALOG)
def name(request):
    return request.param


def test_every_entry_builds_runs_and_reloads(name, tmp_path):
    description = describe_network(name, backbone=small(name), num_classes=3, align_corners=True)
    network = build_network(description, seed=1)
    assert not network.training
    for size in ((65, 65), (64, 64), (33, 80)):
        image = torch.randn(1, 3, *size, requires_grad=True)
        logits = network(image)
        assert logits.shape == (1, 3, *size)
        logits[:, :, size[0] // 2, size[1] // 2].sum().backward()
        assert torch.isfinite(image.grad).all()
        assert image.grad.abs().sum() > 0
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    options = {"backbone": small(name), "align_corners": True}
    again = erfscope.load_model(name, checkpoint=tmp_path / "weights.pth", **options)
    assert again.info.options["num_classes"] == 3  # read from the classifier's shape
    assert not again.info.weights.missing
    assert_same_outputs(again(image), network(image))


@pytest.mark.parametrize("name", NETWORKS[::2])
def test_a_map_in_float32(name):
    """As people compute it; test_pruned_equals_plain.py has the numbers of every entry, in float64."""
    model = erfscope.load_model(name, backbone=small(name), num_classes=2)
    erf = erfscope.compute_erf(model, erfscope.open_dataset("synthetic-leaves", size=(49, 64), images=2))
    assert erf.provenance["engine"]["mode"] == "graph"
    assert erf.erf.shape == (49, 64)
    assert erf.erf.sum() > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_random_weights_are_seeded(name):
    description = describe_network(name, backbone=small(name))
    first, second, other = (build_network(description, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert all(torch.isfinite(value).all() for value in first.values())
    drawn = [key for key, value in first.items() if value.ndim > 1 and value.is_floating_point()]
    assert drawn
    assert not any(torch.equal(first[key], other[key]) for key in drawn)


def test_residual_branches_start_open(name):
    """An untrained network must show its shape: no branch is multiplied by zero."""
    network = build_network(describe_network(name, backbone=small(name)))
    for path, module in network.named_modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)) and path != "decode_head.mask_norm":
            assert (module.weight == 1).all(), path
        for key, parameter in module.named_parameters(recurse=False):
            if key in ("gamma", "scale"):
                assert (parameter != 0).all(), f"{path}.{key}"
