"""`erfscope inspect` of what is no map: one answer for every format."""

import pytest
import torch
from mmsegmentation_files import CONFIG, build, write


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write(tmp_path_factory.mktemp("inspect") / "iter_80000.pth", build())


def test_everything_that_is_known_is_told(run, here, checkpoint):
    facts = run("inspect", str(checkpoint), "--json").json
    assert facts["format"] == "mmsegmentation checkpoint"
    assert facts["detected_by"] == "the config in its meta"
    assert (facts["network"], facts["backbone"], facts["num_classes"]) == ("deeplabv3", "resnet18-v1c", 3)
    assert (facts["output_stride"], facts["read_stride"], facts["rates"]) == (16, 16, [6, 12, 18])
    assert facts["crop_size"] == [64, 96]
    assert facts["mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert facts["channel_order"] == "rgb"
    assert facts["classes"] == ["road", "car", "sky"]
    assert facts["parameters"] > 1e6
    weights = facts["weights"]
    assert (weights["source"], len(weights["sha256"])) == (str(checkpoint), 64)
    assert (weights["missing"], weights["unexpected"], weights["left_out"]) == (0, 0, 1)
    table = run("inspect", str(checkpoint)).out
    assert "detected_by" in table
    assert "sky" in table


def test_a_name_is_a_network_of_random_weights(run, here):
    facts = run("inspect", "fcn-d6", "--json").json
    assert (facts["format"], facts["weights"]["source"]) == ("catalog", "random")
    assert facts["rates"] == [6, 6]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("gone.pth", "gone.pth does not exist"),
        ("gone.h5", "gone.h5 does not exist"),
        ("fcm", "fcm"),
        (".", "folder without config.json"),
    ],
)
def test_what_is_nothing_is_told_in_one_line(run, here, spec, told):
    result = run("inspect", spec)
    assert result.code == 2
    assert told in result.err
    assert len(result.err.splitlines()) == 1


def test_the_map_says_what_its_network_was_read_from(run, here, checkpoint):
    images = ("--data", "synthetic-leaves", "--images", "1")
    facts = run("compute", "--model", str(checkpoint), *images, "--json").json
    assert facts["network"]["format"] == "mmsegmentation checkpoint"
    assert facts["network"]["detected_by"] == "the config in its meta"


def test_hyper_parameters_of_lightning_and_broken_weights_are_shown(run, here):
    network = build()
    state = {f"model.{name}": tensor.clone() for name, tensor in network.state_dict().items()}
    state["model.decode_head.conv_seg.bias"][0] = float("nan")
    content = {
        "state_dict": state,
        "hyper_parameters": {"lr": 0.1, "limit": float("inf")},
        "meta": {"cfg": CONFIG},
    }
    torch.save(content, "last.ckpt")
    facts = run("inspect", "last.ckpt", "--json").json
    assert facts["hyper_parameters"] == {"lr": 0.1, "limit": "inf"}
    assert (facts["weights"]["not_finite_values"], facts["weights"]["not_finite_tensors"]) == (1, 1)
    assert "hyper_parameters.lr" in run("inspect", "last.ckpt").out
