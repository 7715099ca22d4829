"""Weights: what matches, what is refused, and that nothing in a file is ever executed."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import erfscope
from erfscope.errors import CheckpointError
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.table import describe_network


@pytest.fixture(scope="module")
def state():
    return build_network(
        describe_network("deeplabv3", backbone="resnet18-v1c", num_classes=6), seed=5
    ).state_dict()


def load(path, **options):
    return erfscope.load_model("deeplabv3", backbone="resnet18-v1c", checkpoint=path, **options)


WRAPPINGS = {
    "bare": lambda state: state,
    "mmsegmentation": lambda state: {"meta": {"epoch": 3}, "state_dict": state, "optimizer": {"lr": 0.1}},
    "model": lambda state: {"model": state},
    "parallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "half": lambda state: {name: t.half() if t.is_floating_point() else t for name, t in state.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("legacy", [False, True])
def test_usual_wrappings(state, wrapping, legacy, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(WRAPPINGS[wrapping](state), path, _use_new_zipfile_serialization=not legacy)
    model = load(path)
    report = model.origin.weights
    assert (len(report.missing), len(report.unexpected)) == (0, 0)
    assert report.source == str(path)
    loaded = model.state_dict()
    for name, tensor in state.items():
        expected = tensor.half().to(tensor.dtype) if wrapping == "half" else tensor
        assert torch.equal(loaded[name], expected), name


def test_auxiliary_heads_are_left_out(state, tmp_path):
    extra = {"auxiliary_head.conv_seg.weight": torch.zeros(6, 4, 1, 1), "neck.x": torch.zeros(2)}
    save_file({**state, **extra}, tmp_path / "w.safetensors")
    report = load(tmp_path / "w.safetensors").origin.weights
    assert (report.left_out, report.unexpected, report.missing) == (1, ("neck.x",), ())


def test_a_poor_match_is_refused_and_the_nearest_network_named(state, tmp_path):
    path = tmp_path / "w.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError) as caught:
        erfscope.load_model("pspnet", backbone="resnet50", checkpoint=path)
    message = str(caught.value)
    assert "missing backbone." in message
    assert "unexpected " in message
    assert "closest in the catalogue: --model deeplabv3 --backbone resnet18-v1c" in message
    assert "--allow-partial" in message
    assert "\n" not in message


def test_few_wrong_values_in_many_right_tensors_are_refused(state, tmp_path):
    """99 % of the tensors match, but the one that doesn't holds 7 % of the values."""
    state = {**state, "decode_head.bottleneck.conv.weight": torch.zeros(128, 640, 5, 5)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"\[128, 640, 5, 5\] in the file, \[128, 640, 3, 3\] here"):
        load(tmp_path / "w.pth")


def test_a_partial_load_keeps_the_rest_random(state, tmp_path):
    part = {name: tensor for name, tensor in state.items() if name.startswith("backbone.")}
    torch.save(part, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="matches only"):
        load(tmp_path / "w.pth", num_classes=6)
    model = load(tmp_path / "w.pth", num_classes=6, allow_partial=True, seed=5)
    report = model.origin.weights
    assert all(name.startswith("decode_head.") for name in report.missing)
    assert "tensors random" in report.label
    assert torch.equal(
        model.decode_head.conv_seg.weight, state["decode_head.conv_seg.weight"]
    )  # the same seed


def test_a_file_as_the_model_names_the_network_it_fits(state, tmp_path):
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError, match=r"--model deeplabv3 --backbone resnet18-v1c --checkpoint .*w.pth"
    ):
        erfscope.load_model(str(tmp_path / "w.pth"))


def test_random_weights_say_so():
    weights = erfscope.load_model("fcn", backbone="resnet18", seed=3).origin.weights
    assert (weights.source, weights.seed, weights.matched) == ("random", 3, ())
    assert weights.label == "random weights (seed 3)"
    assert weights.summary()["missing"] > 100


class RunsCode:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def hostile(tmp_path: Path) -> dict[str, Path]:
    payload = {"state_dict": RunsCode(tmp_path / "executed")}
    torch.save(payload, tmp_path / "zip.pth")
    torch.save(payload, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(payload))
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    return {name: tmp_path / f"{name}.pth" for name in ("zip", "legacy", "plain", "module")}


@pytest.mark.parametrize("name", ["zip", "legacy", "plain", "module"])
def test_pickles_that_would_run_code(name, tmp_path):
    path = hostile(tmp_path)[name]
    expected = r"refused: loading it would need \S+, which is not plain weights"
    if name == "plain":  # a protocol that torch never writes stops the reader before it meets the name
        expected = r"not a torch checkpoint, or is damaged \(Unsupported operand 149\)"
    with pytest.raises(CheckpointError, match=expected) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)  # torch's advice to load it unsafely is not passed on
    assert not (tmp_path / "executed").exists()


def broken_files(tmp_path: Path, state) -> dict[str, tuple[Path, str]]:
    torch.save(state, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    contents = {
        "empty.pth": (b"", "is empty"),
        "page.pth": (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        "text.pth": (b"hello world", "not a torch checkpoint"),
        "cut1.pth": (whole[: len(whole) // 10], "cut off or damaged"),
        "cut9.pth": (whole[: len(whole) * 9 // 10], "cut off or damaged"),
        "cut.safetensors": (b"\x10\x00\x00\x00\x00\x00\x00\x00{}", "not a readable safetensors"),
        "text.safetensors": (b"hello world, this is no header", "not a readable safetensors"),
    }
    for name, (content, _) in contents.items():
        (tmp_path / name).write_bytes(content)
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "nothing.pth")
    (tmp_path / "folder.pth").mkdir()
    return {name: (tmp_path / name, message) for name, (_, message) in contents.items()} | {
        "list.pth": (tmp_path / "list.pth", "holds no tensors"),
        "nothing.pth": (tmp_path / "nothing.pth", "holds no tensors"),
        "folder.pth": (tmp_path / "folder.pth", "is a folder"),
        "absent.pth": (tmp_path / "absent.pth", "does not exist"),
    }


def test_broken_files(tmp_path, state):
    for path, message in broken_files(tmp_path, state).values():
        with pytest.raises(CheckpointError, match=message) as caught:
            load(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
