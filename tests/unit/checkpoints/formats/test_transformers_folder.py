"""What a folder of transformers tells beside its network; needs no transformers."""

import hashlib
import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from erfscope.checkpoints.formats.hf.hf_folder import find_weights, read_weights
from erfscope.checkpoints.formats.hf.hf_preprocessing import read_facts
from erfscope.errors import CheckpointError

LABELS = {0: "road", 1: "sky"}


def facts(folder, settings=None, name="preprocessor_config.json", **config):
    if settings is not None:
        (folder / name).write_text(json.dumps(settings))
    return read_facts(folder, SimpleNamespace(**{"model_type": "segformer", "id2label": LABELS, **config}))


def test_without_an_image_processor(tmp_path):
    found = facts(tmp_path)
    assert (found.mean, found.std, found.channel_order, found.crop_size) == (None, None, "rgb", None)
    assert found.classes == ("road", "sky")


def test_placeholders_are_no_names(tmp_path):
    assert facts(tmp_path, id2label={0: "LABEL_0", 1: "LABEL_1"}).classes == ()
    assert facts(tmp_path, id2label={10: "b", 9: "a"}).classes == ("a", "b")


NORMALISED = {"do_normalize": True, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
NORMALISATIONS = {
    "as usual": (NORMALISED, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
    "before do_rescale was written": ({**NORMALISED, "size": 512}, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
    "one number": ({"image_mean": 0.5, "image_std": 0.25}, (0.5,) * 3, (0.25,) * 3),
    "none": ({"do_normalize": False, **{k: NORMALISED[k] for k in ("image_mean",)}}, (0,) * 3, (1,) * 3),
    "0 to 255": ({"do_normalize": False, "do_rescale": False}, (0,) * 3, (1 / 255,) * 3),
    "0 to 2": ({**NORMALISED, "rescale_factor": 2 / 255}, (0.05, 0.1, 0.15), (0.2, 0.25, 0.3)),
    "not told": ({"do_normalize": True, "do_resize": True}, None, None),
}


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_normalization(name, tmp_path):
    settings, mean, std = NORMALISATIONS[name]
    found = facts(tmp_path, settings)
    assert found.mean == (mean and pytest.approx(mean))
    assert found.std == (std and pytest.approx(std))


def test_processors_that_take_texts_too(tmp_path):
    found = facts(tmp_path, {"image_processor": NORMALISED}, "processor_config.json")
    assert found.mean == pytest.approx((0.1, 0.2, 0.3))


def test_mobilevit_takes_blue_first(tmp_path):
    found = facts(tmp_path, {"size": 288}, model_type="mobilevit")
    assert (found.channel_order, found.mean, found.std) == ("bgr", (0, 0, 0), (1, 1, 1))
    asked = facts(tmp_path, {"do_flip_channel_order": False}, model_type="mobilevitv2")
    assert asked.channel_order == "rgb"


CROPS = {
    "an old side": ({"size": 512}, (512, 512)),
    "a pair": ({"size": {"height": 480, "width": 640}}, (480, 640)),
    "a crop": ({"size": 544, "crop_size": {"height": 512, "width": 512}}, (512, 512)),
    "a crop that isn't made": ({"size": 640, "crop_size": 224, "do_center_crop": False}, (640, 640)),
    "the shorter side": ({"size": {"shortest_edge": 800, "longest_edge": 1333}}, None),
    "the shorter side, of old": ({"size": 800, "max_size": 1333}, None),
    "nonsense": ({"size": {"height": "a", "width": -1}}, None),
    "more than any image": ({"size": 10**12}, None),
}


@pytest.mark.parametrize("name", CROPS)
def test_crop(name, tmp_path):
    settings, crop = CROPS[name]
    assert facts(tmp_path, settings).crop_size == crop


def test_a_network_with_positions_has_a_size_of_its_own(tmp_path):
    edge = {"size": {"shortest_edge": 640, "longest_edge": 640}}
    assert facts(tmp_path, edge, model_type="eomt", image_size=512).crop_size == (512, 512)
    assert facts(tmp_path, edge, model_type="mobilenet_v2", image_size=224).crop_size is None


def test_the_safer_file_is_taken(tmp_path):
    assert find_weights(tmp_path) is None
    for name in ("pytorch_model.bin.index.json", "pytorch_model.bin", "model.safetensors"):
        (tmp_path / name).touch()
        assert find_weights(tmp_path) == tmp_path / name


@pytest.mark.parametrize("name", ["tf_model.h5", "flax_model.msgpack", "adapter_model.safetensors"])
def test_weights_of_another_make(name, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=f"only {name}; save the network again"):
        find_weights(tmp_path)


def test_shards_are_joined(tmp_path):
    save_file({"model.a": torch.ones(2)}, tmp_path / "model-2.safetensors")
    save_file({"model.b": torch.zeros(3)}, tmp_path / "model-1.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    named = {"model.a": "model-2.safetensors", "model.b": "model-1.safetensors"}
    index.write_text(json.dumps({"metadata": {}, "weight_map": named}))
    weights = read_weights(index)
    assert weights.state.keys() == {"model.a", "model.b"}  # nothing is taken for a wrapper's prefix
    files = [(tmp_path / f"model-{number}.safetensors").read_bytes() for number in (1, 2)]
    assert weights.sha256() == hashlib.sha256(b"".join(files)).hexdigest()
