"""Weights: what matches, what is refused, and that nothing in a file is ever executed."""

import pytest
import torch
from safetensors.torch import save_file
from tiers import representatives

import erfscope
from erfscope.errors import CheckpointError
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network


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
    "brain": lambda state: {name: t.bfloat16() if t.is_floating_point() else t for name, t in state.items()},
    # What no list of wrappers knows, with what a training module keeps beside its network.
    "segmentor": lambda state: {
        **{f"net.segmentor.{name}": tensor for name, tensor in state.items()},
        "mean": torch.zeros(1, 3, 1, 1),
        "loss.weight": torch.ones(6),
    },
}
REDUCED = {"half": torch.float16, "brain": torch.bfloat16}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("legacy", representatives([False, True], [False]))
def test_usual_wrappings(state, wrapping, legacy, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(WRAPPINGS[wrapping](state), path, _use_new_zipfile_serialization=not legacy)
    model = load(path)
    report = model.info.weights
    assert (len(report.missing), len(report.unexpected)) == (0, 0)
    assert report.source == str(path)
    loaded = model.state_dict()
    for name, tensor in state.items():
        expected = tensor.to(REDUCED.get(wrapping, tensor.dtype)).to(tensor.dtype)
        assert torch.equal(loaded[name], expected if tensor.is_floating_point() else tensor), name
        assert loaded[name].dtype == tensor.dtype
    assert report.left_out == (2 if wrapping == "segmentor" else 0)
    assert model.info.options["num_classes"] == 6


def test_a_network_that_is_there_twice(state, tmp_path):
    both = {f"{who}.{name}": tensor for who in ("student", "teacher") for name, tensor in state.items()}
    torch.save(both, tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError, match=r"holds the network under 'student\.' as well as under 'teacher\.'"
    ):
        load(tmp_path / "w.pth")


@pytest.mark.slow
def test_packed_integers_are_no_weights(state, tmp_path):
    name = "decode_head.bottleneck.conv.weight"
    torch.save({**state, name: state[name].to(torch.int8)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="matches only"):
        load(tmp_path / "w.pth")


def test_values_that_are_not_finite_are_counted(state, tmp_path):
    broken = {name: tensor.clone() for name, tensor in state.items()}
    broken["decode_head.conv_seg.bias"][:2] = float("nan")
    broken["backbone.stem.0.weight"].view(-1)[:3] = float("-inf")
    torch.save(broken, tmp_path / "w.pth")
    summary = load(tmp_path / "w.pth").info.weights.summary()
    assert (summary["not_finite_values"], summary["not_finite_tensors"]) == (5, 2)
    torch.save(state, tmp_path / "w.pth")
    assert load(tmp_path / "w.pth").info.weights.summary()["not_finite_values"] == 0


def test_hyper_parameters_are_told(state, tmp_path):
    torch.save({"state_dict": state, "hyper_parameters": {"lr": 0.1}}, tmp_path / "w.ckpt")
    assert load(tmp_path / "w.ckpt").info.training.summary()["hyper_parameters"] == {"lr": 0.1}


@pytest.mark.slow
def test_a_prefix_that_no_list_knows_hides_no_network(state, tmp_path):
    torch.save({f"segmentor.{name}": tensor for name, tensor in state.items()}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"--model deeplabv3 --backbone resnet18-v1c .* \(99% match\)"):
        erfscope.load_model(str(tmp_path / "w.pth"))


def test_auxiliary_heads_are_left_out(state, tmp_path):
    extra = {"auxiliary_head.conv_seg.weight": torch.zeros(6, 4, 1, 1), "neck.x": torch.zeros(2)}
    save_file({**state, **extra}, tmp_path / "w.safetensors")
    report = load(tmp_path / "w.safetensors").info.weights
    assert (report.left_out, report.unexpected, report.missing) == (1, ("neck.x",), ())


@pytest.mark.slow
def test_a_poor_match_is_refused_and_the_nearest_network_named(state, tmp_path):
    path = tmp_path / "w.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError) as caught:
        erfscope.load_model("pspnet", backbone="resnet50", checkpoint=path)
    message = str(caught.value)
    assert "missing backbone." in message
    assert "unexpected " in message
    assert "closest in the catalog: --model deeplabv3 --backbone resnet18-v1c" in message
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
    report = model.info.weights
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
    weights = erfscope.load_model("fcn", backbone="resnet18", seed=3).info.weights
    assert (weights.source, weights.seed, weights.matched) == ("random", 3, ())
    assert weights.label == "random weights (seed 3)"
    assert weights.summary()["missing"] > 100


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["encoder.conv1.weight", "segmentation_head.0.weight"], "segmentation_models_pytorch: give its"),
        (["segformer.encoder.block.weight"], "of transformers: give its config.json by --config"),
        (["backbone.0.0.weight", "classifier.4.weight"], "--model torchvision:NAME --checkpoint"),
        (["conv1.weight", "fc.weight"], "--model timm:NAME --checkpoint"),
    ],
)
def test_files_of_libraries_are_told_by_their_names(names, told, tmp_path):
    path = tmp_path / "w.pth"
    torch.save({name: torch.zeros(2, 2) for name in names}, path)
    with pytest.raises(CheckpointError, match="doesn't say what network it is; its names are") as caught:
        erfscope.load_model(str(path))
    assert told in str(caught.value)
