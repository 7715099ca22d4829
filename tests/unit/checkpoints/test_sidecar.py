"""Safetensors with a description beside them."""

import json

import pytest
from mmsegmentation_files import CONFIG, build
from safetensors.torch import save_file

import erfscope
from erfscope.checkpoints.formats.mmsegmentation.config_text import parse_config
from erfscope.errors import CheckpointError


@pytest.fixture(scope="module")
def described():
    return json.dumps(parse_config(CONFIG, "config"))


@pytest.fixture
def weights(tmp_path):
    save_file(build().state_dict(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


@pytest.mark.parametrize("name", ["w.json", "config.json"])
def test_a_config_beside_the_file(name, weights, described):
    weights.with_name(name).write_text(described)
    info = erfscope.load_model(str(weights)).info
    assert (info.name, info.options["rates"]) == ("deeplabv3", [6, 12, 18])
    assert info.training.crop_size == (64, 96)
    assert info.detected_by == f"the config in {weights.with_name(name)}"
    assert info.weights.missing == ()


def test_the_file_of_its_own_name_goes_first(weights, described):
    weights.with_name("w.json").write_text(described)
    weights.with_name("config.json").write_text('{"model_type": "segformer"}')
    assert erfscope.load_model(str(weights)).info.name == "deeplabv3"


@pytest.mark.slow
@pytest.mark.parametrize("beside", ['{"lr": 0.1}', "no JSON", "[1]"])
def test_what_describes_something_else_is_passed_over(beside, weights, described):
    weights.with_name("w.json").write_text(beside)
    with pytest.raises(CheckpointError, match="doesn't say what network it is"):
        erfscope.load_model(str(weights))
    weights.with_name("config.json").write_text(described)
    assert erfscope.load_model(str(weights)).info.name == "deeplabv3"


def test_config_goes_before_it(weights, described, tmp_path):
    weights.with_name("w.json").write_text(described.replace('"num_classes": 3', '"num_classes": 4'))
    with pytest.raises(CheckpointError, match="doesn't fit"):
        erfscope.load_model(str(weights))
    (tmp_path / "right.json").write_text(described)
    assert erfscope.load_model(str(weights), config=tmp_path / "right.json").info.name == "deeplabv3"


def test_a_named_network_ignores_it(weights, described):
    weights.with_name("w.json").write_text(described)
    with pytest.raises(CheckpointError, match="matches only"):
        erfscope.load_model("fcn", backbone="resnet18", checkpoint=weights)
