"""`best.safetensors` as `--model`: described by its own header, which may be damaged or hostile."""

import json

import pytest
import torch
from safetensors.torch import save_file
from same_outputs import assert_same_outputs

import erfscope
from erfscope.checkpoints.formats.trained_reader import KEY
from erfscope.errors import CheckpointError, NetworkError
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network

DESCRIPTION = describe_network(
    "deeplabv3", backbone="resnet18", num_classes=3, rates=[2, 4, 6], align_corners=True
)


@pytest.fixture(scope="module")
def trained():
    return build_network(DESCRIPTION, seed=4)


def header(**changes):
    return {
        "name": "deeplabv3",
        "network": DESCRIPTION.summary(),
        "classes": ["a", "b", "c"],
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.3, 0.25],
        "crop_size": [65, 97],
        "recipe": {"run": {"seed": 3}},
    } | changes


def save(path, network, told):
    text = told if isinstance(told, str) else json.dumps(told)
    save_file(network.state_dict(), path, metadata={"format": "pt", KEY: text})
    return str(path)


def test_the_network_comes_back(trained, tmp_path):
    model = erfscope.load_model(save(tmp_path / "w.safetensors", trained, header()))
    image = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        assert_same_outputs(model(image), trained(image))
    info = model.info
    assert (info.name, info.format) == ("deeplabv3", "erfscope training run")
    assert info.parts == DESCRIPTION.summary()
    assert info.options == {
        "backbone": "resnet18", "output_stride": 8, "rates": [2, 4, 6], "num_classes": 3,
        "align_corners": True,
    }  # fmt: skip
    told = info.training
    assert (told.classes, told.crop_size) == (("a", "b", "c"), (65, 97))
    assert (told.mean, told.std) == ((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    assert told.hyper_parameters == {"run": {"seed": 3}}
    assert info.trained_settings == {}


def test_stride_and_rates_can_be_changed(trained, tmp_path):
    path = save(tmp_path / "w.safetensors", trained, header())
    model = erfscope.load_model(path, output_stride=16)
    assert model.rates == (1, 2, 3)
    assert model.info.trained_settings == {"output_stride": 8, "rates": [2, 4, 6]}
    assert erfscope.load_model(path, rates=(5, 6, 7)).rates == (5, 6, 7)
    for options in ({"backbone": "resnet50"}, {"num_classes": 4}):
        with pytest.raises(CheckpointError, match="only output_stride, rates, align_corners can be changed"):
            erfscope.load_model(path, **options)


def test_as_the_checkpoint_of_a_named_network(trained, tmp_path):
    path = save(tmp_path / "w.safetensors", trained, header())
    model = erfscope.load_model("deeplabv3", backbone="resnet18", checkpoint=path)
    assert model.info.options["num_classes"] == 3
    assert model.info.weights.missing == ()


@pytest.mark.parametrize(
    "told",
    [
        "{",
        "[1]",
        "null",
        "[" * 100_000,
        header(network=None),
        header(network={}),
        header(network=DESCRIPTION.summary() | {"backbone": "resnet18"}),
        header(network=DESCRIPTION.summary() | {"head_name": 3}),
        header(network=DESCRIPTION.summary() | {"neck": 5}),
    ],
)
def test_damaged_headers_are_told(told, trained, tmp_path):
    path = save(tmp_path / "w.safetensors", trained, told)
    with pytest.raises(CheckpointError, match="has a damaged header"):
        erfscope.load_model(path)


def changed(part, **arguments):
    summary = DESCRIPTION.summary()
    return header(network=summary | {part: {**summary[part], **arguments}})


@pytest.mark.parametrize(
    "told",
    [
        changed("backbone", type="Eval"),
        changed("backbone", depth="fifty"),
        changed("backbone", strides=3),
        changed("head", channels=-4),
        changed("head", code="import os"),
    ],
)
def test_headers_that_describe_nothing_are_told(told, trained, tmp_path):
    path = save(tmp_path / "w.safetensors", trained, told)
    with pytest.raises(NetworkError) as caught:
        erfscope.load_model(path)
    assert "\n" not in str(caught.value)


def test_a_header_of_a_huge_network_takes_no_memory(trained, tmp_path):
    """10^13 values, were it built before it is held against the file."""
    path = save(tmp_path / "w.safetensors", trained, changed("head", channels=10**6))
    with pytest.raises(CheckpointError, match="doesn't fit the network"):
        erfscope.load_model(path)


def test_facts_that_are_none_are_left_out(trained, tmp_path):
    told = header(classes=[1, 2], mean=[0.5], crop_size="large", recipe=[])
    training = erfscope.load_model(save(tmp_path / "w.safetensors", trained, told)).info.training
    assert (training.classes, training.mean, training.std, training.crop_size) == ((), None, None, None)
    assert training.hyper_parameters == {}
