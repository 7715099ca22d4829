"""`erfscope inspect` of what is no map: one answer for every format."""

import pytest
from mmsegmentation_files import build, write


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write(tmp_path_factory.mktemp("inspect") / "iter_80000.pth", build())


def test_everything_that_is_known_is_told(run, here, checkpoint):
    facts = run("inspect", str(checkpoint), "--json").json
    assert facts["format"] == "mmsegmentation checkpoint"
    assert facts["recognised_by"] == "the config in its meta"
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
    assert "recognised_by" in table
    assert "sky" in table


def test_a_name_is_a_network_of_random_weights(run, here):
    facts = run("inspect", "fcn-d6", "--json").json
    assert (facts["format"], facts["weights"]["source"]) == ("catalogue", "random")
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
    assert facts["network"]["recognised_by"] == "the config in its meta"
