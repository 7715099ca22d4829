"""Weights files: where the tensors are, under which names, and what stands beside them."""

import argparse
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from same_outputs import assert_same_outputs
from small_networks import SmallNet, seeded
from torch.optim.swa_utils import AveragedModel

import erfscope
from erfscope.checkpoints.files.weights_file import read_checkpoint
from erfscope.errors import CheckpointError

GOLDEN = Path(__file__).parents[2] / "golden"


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
    "compiled and parallel": (prefixed("_orig_mod.module."), ""),
    "parallel and compiled": (prefixed("module._orig_mod.model."), ""),
    "a part compiled": ({name.replace("conv.", "conv._orig_mod."): t for name, t in STATE.items()}, ""),
    "sharded": (prefixed("_fsdp_wrapped_module.model._checkpoint_wrapped_module."), ""),
    "network": ({"network": STATE, "epoch": 1}, "network"),
    "weights": ({"weights": STATE}, "weights"),
    "nnU-Net": ({"network_weights": STATE, "trainer_name": "nnUNetTrainer"}, "network_weights"),
    "DeepSpeed": ({"module": STATE, "optimizer": None}, "module"),
    "timm, averaged": ({"state_dict": {}, "state_dict_ema": prefixed("module.")}, "state_dict_ema"),
    "ConvNeXt, averaged": ({"model": {}, "model_ema": STATE}, "model_ema"),
    "described under model": ({"model": {"name": "fcn"}, "state_dict": STATE}, "state_dict"),
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


LAST_STEP = {key: tensor + 1 for key, tensor in STATE.items()}
AVERAGED = {
    # mmengine's EMAHook puts them into `state_dict` before it saves.
    "mmengine": {
        "ema_state_dict": {"steps": torch.tensor(3), **prefixed("module.", LAST_STEP)},
        "state_dict": STATE,
    },
    "timm": {"state_dict": LAST_STEP, "state_dict_ema": STATE},
    "ConvNeXt": {"model": LAST_STEP, "model_ema": STATE},
}


@pytest.mark.parametrize("library", AVERAGED)
def test_the_averaged_weights_are_taken(library, tmp_path):
    torch.save(AVERAGED[library], tmp_path / "w.pth")
    state = read_checkpoint(tmp_path / "w.pth").state
    assert torch.equal(state["conv.weight"], STATE["conv.weight"])


def test_names_that_would_become_one_are_kept(tmp_path):
    state = {"a._orig_mod.w": torch.ones(1), "a.w": torch.zeros(1)}
    save_file(state, tmp_path / "w.safetensors")
    assert read_checkpoint(tmp_path / "w.safetensors").state.keys() == state.keys()


def test_a_checkpoint_of_lightning(tmp_path):
    hyper_parameters = {
        "lr": 0.1,
        "rates": (6, 12),
        "classes": {0: "road"},
        "limit": float("inf"),
        "args": argparse.Namespace(lr=1),
        "loss": torch.zeros(2),
    }
    content = {
        "state_dict": prefixed("model."),
        "hyper_parameters": hyper_parameters,
        "pytorch-lightning_version": "2.5.0",
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "x"}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}],
    }
    torch.save(content, tmp_path / "last.ckpt")
    checkpoint = read_checkpoint(tmp_path / "last.ckpt")
    assert checkpoint.state.keys() == STATE.keys()
    assert checkpoint.hyper_parameters == {
        "lr": 0.1,
        "rates": [6, 12],
        "classes": {"0": "road"},
        "limit": "inf",
    }


def test_very_many_hyper_parameters_are_left_out(tmp_path):
    torch.save({"state_dict": STATE, "hyper_parameters": {"files": ["x"] * 20_000}}, tmp_path / "w.ckpt")
    assert read_checkpoint(tmp_path / "w.ckpt").hyper_parameters == {}


def test_the_metadata_of_safetensors(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors", metadata={"format": "pt", "epoch": "3"})
    assert read_checkpoint(tmp_path / "w.safetensors").meta == {"format": "pt", "epoch": "3"}


def test_safetensors_by_another_name(tmp_path):
    save_file(STATE, tmp_path / "w.bin")
    assert read_checkpoint(tmp_path / "w.bin").state.keys() == STATE.keys()


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


def test_complex_tensors(tmp_path):
    torch.save({"a": torch.ones(1, dtype=torch.complex64)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth: 'a' is complex"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of writing such an archive
def test_torchscript(tmp_path):
    trace = torch.jit.trace(torch.nn.Identity(), torch.ones(1))
    trace.save(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="TorchScript archive"):
        read_checkpoint(tmp_path / "w.pth")


def test_a_checkpoint_that_lightning_itself_wrote():
    network = erfscope.load_model("small_networks:SmallNet", checkpoint=GOLDEN / "lightning.ckpt")
    report = network.info.weights
    assert (report.missing, report.unexpected, report.left_out) == ((), (), 1)  # the loss keeps a weight
    image = torch.randn(1, 3, 16, 16)
    assert_same_outputs(network(image), seeded(SmallNet()).eval()(image))
    content = read_checkpoint(GOLDEN / "lightning.ckpt")
    assert content.hyper_parameters == {"arch": "small", "lr": 0.001, "classes": ["a", "b"]}
