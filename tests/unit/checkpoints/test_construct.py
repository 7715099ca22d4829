"""Building other libraries' networks: what they raise, what memory they take, what their seeds change."""

import sys

import pytest
import torch
from torch import nn

import erfscope
from erfscope.checkpoints.files.weights_file import read_checkpoint
from erfscope.checkpoints.fitting.build_filled import build_filled, build_seeded, build_shapes, count_classes
from erfscope.checkpoints.library import find_folder, import_library
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError


class Layers(nn.Module):
    """Reads its drop rates off a tensor, as many transformers do."""

    def __init__(self, width=4):
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0, 0.3, 4)]
        self.body = nn.Conv2d(3, width, 3)
        self.head = nn.Sequential(nn.Conv2d(width, 5, 1), nn.ReLU())


def test_shapes_without_memory():
    shapes = build_shapes(lambda: Layers(10**9), "x")
    assert shapes.body.weight.is_meta
    assert shapes.body.weight.shape == (10**9, 3, 3, 3)
    assert shapes.rates == pytest.approx([0, 0.1, 0.2, 0.3])


def test_seeded_weights_leave_the_random_numbers_as_found():
    before = torch.random.get_rng_state()
    networks = [build_seeded(lambda: Layers(), seed, "x") for seed in (3, 3, 4)]
    assert torch.equal(torch.random.get_rng_state(), before)
    first, again, other = (network.body.weight for network in networks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not networks[0].training


@pytest.mark.parametrize(
    "build", [lambda make: build_shapes(make, "w.pth"), lambda make: build_seeded(make, 0, "w.pth")]
)
def test_what_a_library_raises_is_told_in_one_line(build):
    def fail():
        raise AssertionError("no\nsuch\nthing " + "x" * 500)

    with pytest.raises(
        CheckpointError, match=r"w.pth can't be built \(AssertionError: no such thing x"
    ) as caught:
        build(fail)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_weights_are_held_against_the_shapes_first(tmp_path):
    torch.save(Layers().state_dict(), tmp_path / "w.pth")
    content, request = read_checkpoint(tmp_path / "w.pth"), Request("timm:x")
    network, report = build_filled(Layers, content, request)
    assert torch.equal(network.body.weight, content.state["body.weight"])
    assert (report.missing, len(report.sha256)) == ((), 64)
    with pytest.raises(CheckpointError, match=r"\[4, 3, 3, 3\] in the file, \[1000000000, 3, 3, 3\] here"):
        build_filled(lambda: Layers(10**9), content, request)
    with pytest.raises(
        CheckpointError, match=r"describes a network of 3.3e\+10 values, and its file holds 1.4e\+02"
    ):
        build_filled(lambda: Layers(10**9), content, Request("timm:x", allow_partial=True))


def test_classes_are_those_of_the_last_convolution():
    shapes = build_shapes(Layers, "x")
    assert count_classes(shapes, "head", {"head.0.weight": torch.zeros(7, 4, 1, 1)}) == 7
    assert count_classes(shapes, "head", {}) is None
    assert count_classes(shapes, "head", {"head.0.weight": torch.zeros(7)}) is None


@pytest.mark.parametrize(
    ("spec", "module", "extra"),
    [
        ("torchvision:fcn_resnet50", "torchvision", "torchvision"),
        ("smp:Unet", "segmentation_models_pytorch", "smp"),
        ("timm:resnet18", "timm", "timm"),
    ],
)
def test_a_library_that_is_not_installed(spec, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        CheckpointError, match=rf"{spec} needs the library {module}.*: pip install 'erfscope\[{extra}\]'"
    ):
        erfscope.load_model(spec)


def test_a_library_that_does_not_import(tmp_path, monkeypatch):
    (tmp_path / "broken_library.py").write_text("raise RuntimeError('built for\\nanother torch')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"can't be imported here \(RuntimeError: built for another torch\)"
    ):
        import_library("broken_library", "smp", "smp:Unet")


def test_what_is_no_folder_and_no_repository(tmp_path):
    assert find_folder(str(tmp_path), "smp", "x") == tmp_path
    for name in ("resnet18", "./models/unet", "/models/unet", "a/b/c"):
        assert find_folder(name, "smp", "x") is None
