"""Weights files: where the tensors are, under which names, and what stands beside them."""

import argparse
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel

from erfscope.checkpoints.reading import read_checkpoint
from erfscope.errors import CheckpointError


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(OrderedDict(conv=torch.nn.Conv2d(3, 2, 1), bn=torch.nn.BatchNorm2d(2)))


STATE = network().state_dict()


def prefixed(prefix, state=STATE):
    return {prefix + name: tensor for name, tensor in state.items()}


def averaged():
    return AveragedModel(network()).state_dict()


FILES = {
    "bare": (STATE, ""),
    "mmsegmentation": ({"meta": {}, "state_dict": STATE, "optimizer": {}}, "state_dict"),
    "model_state_dict": ({"model_state_dict": STATE, "epoch": 1}, "model_state_dict"),
    "model": ({"model": STATE, "args": argparse.Namespace(lr=0.1, out=Path("x"))}, "model"),
    "net": ({"net": STATE}, "net"),
    "nested twice": ({"model": {"state_dict": STATE, "name": "fcn"}}, "model.state_dict"),
    "parallel": (prefixed("module."), ""),
    "lightning": ({"state_dict": prefixed("model."), "hyper_parameters": {"lr": 0.1}}, "state_dict"),
    "wrapped twice": (prefixed("module.model."), ""),
    "compiled": (prefixed("_orig_mod."), ""),
    "averaged by torch": ({"state_dict": averaged()}, "state_dict"),
    "averaged by mmengine": (
        {"ema_state_dict": {"steps": torch.tensor(3), **prefixed("module.")}},
        "ema_state_dict",
    ),
    "averaged by mmcv": (
        {
            "state_dict": {
                **STATE,
                "ema_conv_weight": torch.ones(2, 3, 1, 1),
                "ema_bn_running_mean": torch.ones(2),
            }
        },
        "state_dict",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_wrappings(name, tmp_path):
    content, nested_under = FILES[name]
    torch.save(content, tmp_path / "w.pth")
    checkpoint = read_checkpoint(tmp_path / "w.pth")
    assert checkpoint.nested_under == nested_under
    assert checkpoint.state.keys() == STATE.keys()
    assert all(torch.equal(checkpoint.state[key], STATE[key]) for key in STATE)


def test_the_averaged_weights_are_taken(tmp_path):
    """mmengine's EMAHook puts them into `state_dict` before it saves."""
    last = {"steps": torch.tensor(3), **prefixed("module.", {key: t + 1 for key, t in STATE.items()})}
    torch.save({"ema_state_dict": last, "state_dict": STATE}, tmp_path / "w.pth")
    state = read_checkpoint(tmp_path / "w.pth").state
    assert torch.equal(state["conv.weight"], STATE["conv.weight"])


def test_names_that_only_look_like_wrappers(tmp_path):
    state = {"module.a": torch.ones(1), "b": torch.ones(1), "ema_c": torch.ones(1), "model": torch.ones(1)}
    save_file(state, tmp_path / "w.safetensors")
    checkpoint = read_checkpoint(tmp_path / "w.safetensors")
    assert checkpoint.state.keys() == state.keys()
    assert checkpoint.meta == {}


def test_meta_is_plain_data(tmp_path):
    class_names = OrderedDict(classes=["road"], palette=torch.zeros(3), extra={1: (2.5, None)})
    meta = {
        "mmseg_version": "0.30.0",
        "config": "model = dict()\n",
        "CLASSES": ("road", "sky"),
        "PALETTE": [[1, 2, 3], [4, 5, 6]],
        "dataset_meta": class_names,
        "tensor": torch.zeros(1),
        "list": [1, torch.zeros(1)],
        "args": argparse.Namespace(lr=1),
        "epoch": 3,
        4: 5,
    }
    meta["itself"] = meta
    torch.save({"meta": meta, "state_dict": STATE}, tmp_path / "w.pth")
    read = read_checkpoint(tmp_path / "w.pth").meta
    itself = read.pop("itself")
    assert itself.keys() <= meta.keys()
    assert read == {
        "mmseg_version": "0.30.0",
        "config": "model = dict()\n",
        "CLASSES": ("road", "sky"),
        "PALETTE": [[1, 2, 3], [4, 5, 6]],
        "dataset_meta": {"classes": ["road"], "extra": {1: (2.5, None)}},
        "epoch": 3,
    }
    assert type(read["dataset_meta"]) is dict


def test_shared_values_can_not_grow_without_bound(tmp_path):
    laughter = [0]
    for _ in range(30):
        laughter = [laughter, laughter]
    torch.save({"meta": {"epoch": 1, "laughter": laughter}, "state_dict": STATE}, tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").meta == {"epoch": 1}


def test_a_file_that_nests_without_end(tmp_path):
    content = {"epoch": 1}
    content["model"] = content
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds no tensors"):
        read_checkpoint(tmp_path / "w.pth")


class Pretender:
    """Pickles as an OrderedDict with attributes in place of its methods."""

    def __init__(self, content):
        self.content = content

    def __reduce__(self):
        attributes = dict.fromkeys(("items", "keys", "get", "_metadata"), 5)
        return OrderedDict, (), attributes, None, iter(self.content.items())


def test_a_mapping_that_pretends(tmp_path):
    content = Pretender({"state_dict": Pretender(STATE), "meta": Pretender({"epoch": 1})})
    torch.save(content, tmp_path / "w.pth")
    checkpoint = read_checkpoint(tmp_path / "w.pth")
    assert checkpoint.state.keys() == STATE.keys()
    assert checkpoint.meta == {"epoch": 1}


UNUSUAL = {
    "sparse": lambda: torch.eye(3).to_sparse(),
    "meta": lambda: torch.empty(3, device="meta"),
    "nested": lambda: torch.nested.as_nested_tensor([torch.ones(1), torch.ones(2)], layout=torch.strided),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("kind", UNUSUAL)
def test_tensors_that_no_network_takes(kind, tmp_path):
    torch.save({"a": torch.ones(1), "b": UNUSUAL[kind]()}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth: 'b' is sparse, quantized, nested or empty"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of writing such an archive
def test_torchscript(tmp_path):
    trace = torch.jit.trace(torch.nn.Identity(), torch.ones(1))
    trace.save(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="TorchScript archive"):
        read_checkpoint(tmp_path / "w.pth")
