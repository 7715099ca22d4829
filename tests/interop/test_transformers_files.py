"""The forms in which transformers' weights come, and what else a folder tells."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from same_outputs import assert_same_outputs
from small_networks import noise_images
from tiers import representatives
from transformers_networks import CONFIGS, make_config, make_network

import erfscope
from erfscope.errors import CheckpointError

pytestmark = pytest.mark.representative

IMAGE = noise_images(1, (64, 64))[0][None]


@pytest.fixture(scope="module")
def segformer(torchvision):
    return make_network(make_config("segformer"))


def logits(network):
    with torch.no_grad():
        return network(IMAGE)


@pytest.fixture(scope="module")
def expected(segformer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    segformer.save_pretrained(folder)
    return logits(erfscope.load_model(str(folder)))


def as_torch_file(folder):
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    return state


def as_torch_shards(folder):
    state = as_torch_file(folder)
    (folder / "pytorch_model.bin").unlink()
    files = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    named = {name: files[number % 2] for number, name in enumerate(state)}
    for file in files:
        torch.save({name: state[name] for name in state if named[name] == file}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": named}))


def in_half(folder):
    state = load_file(folder / "model.safetensors")
    save_file({name: t.half() if t.is_floating_point() else t for name, t in state.items()},
              folder / "model.safetensors")  # fmt: skip


FORMS = {
    "one torch file": (as_torch_file, "pytorch_model.bin"),
    "torch shards": (as_torch_shards, "pytorch_model.bin.index.json"),
    "half precision": (in_half, "model.safetensors"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form, segformer, expected, tmp_path):
    segformer.save_pretrained(tmp_path)
    change, source = FORMS[form]
    change(tmp_path)
    ours = erfscope.load_model(str(tmp_path))
    assert ours.info.weights.source == str(tmp_path / source)
    assert (ours.info.weights.missing, ours.info.weights.unexpected) == ((), ())
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    if form == "half precision":  # 11 bits, through some ten layers
        torch.testing.assert_close(logits(ours), expected, rtol=0.05, atol=0.05)
    else:
        assert_same_outputs(logits(ours), expected)


def test_shards_of_safetensors(segformer, expected, tmp_path):
    segformer.save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    ours = erfscope.load_model(str(tmp_path))
    assert ours.info.weights.source == str(tmp_path / "model.safetensors.index.json")
    assert_same_outputs(logits(ours), expected)
    before = ours.info.weights.sha256
    shard = min(tmp_path.glob("*.safetensors"))
    save_file({name: t + 1 for name, t in load_file(shard).items()}, shard)
    assert erfscope.load_model(str(tmp_path)).info.weights.sha256 != before


def lightning(state):
    return {"state_dict": {f"model.{name}": t for name, t in state.items()}, "hyper_parameters": {"lr": 0.1}}


@pytest.mark.parametrize("wrap", [dict, lightning])
def test_a_state_dict_with_its_config(wrap, segformer, expected, tmp_path):
    segformer.config.save_pretrained(tmp_path)
    torch.save(wrap(segformer.state_dict()), tmp_path / "w.pth")
    ours = erfscope.load_model(str(tmp_path / "w.pth"), config=tmp_path / "config.json")
    assert ours.info.format == "state dict of transformers"
    assert ours.info.training.hyper_parameters == ({"lr": 0.1} if wrap is lightning else {})
    assert (ours.info.weights.missing, ours.info.weights.unexpected) == ((), ())
    assert_same_outputs(logits(ours), expected)


@pytest.mark.parametrize("name", representatives(CONFIGS, ("segformer", "mask2former")))
def test_every_state_dict_with_its_config(name, torchvision, tmp_path):
    """Also where each name begins with a prefix that wrappers of networks use, too."""
    network = make_network(make_config(name))
    network.config.save_pretrained(tmp_path)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    ours = erfscope.load_model(str(tmp_path / "w.pth"), config=tmp_path / "config.json")
    assert (ours.info.weights.missing, ours.info.weights.unexpected) == ((), ())


def test_indices_that_older_files_hold(torchvision, tmp_path):
    network = make_network(make_config("beit"))
    network.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    index = torch.zeros(300, 300, dtype=torch.int64)  # a third of all values
    name = "beit.encoder.layer.0.attention.attention.relative_position_bias.relative_position_index"
    save_file({**state, name: index}, tmp_path / "model.safetensors")
    weights = erfscope.load_model(str(tmp_path)).info.weights
    assert (weights.missing, weights.unexpected) == ((), ())


def test_values_that_are_no_numbers_are_counted(segformer, tmp_path):
    segformer.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state["decode_head.classifier.bias"][:2] = torch.tensor([math.nan, math.inf])
    save_file(state, tmp_path / "model.safetensors")
    assert erfscope.load_model(str(tmp_path)).info.weights.not_finite == {"decode_head.classifier.bias": 2}


def test_a_config_alone_stands_on_random_weights(segformer, tmp_path):
    segformer.config.save_pretrained(tmp_path)
    state = torch.random.get_rng_state()
    first, again, other = (erfscope.load_model(str(tmp_path), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    report = first.info.weights
    assert (report.source, report.seed, report.matched) == ("random", 1, ())
    assert len(report.missing) > 100
    assert_same_outputs(logits(first), logits(again))
    assert not torch.allclose(logits(first), logits(other))


@pytest.mark.parametrize("files", [("model.safetensors",), ("pytorch_model.bin",)])
def test_a_network_of_the_hub(files, segformer, expected, tmp_path, monkeypatch, offline):
    """Code is never asked for, and pickles only where there is nothing else."""
    import huggingface_hub

    segformer.save_pretrained(tmp_path)
    if files == ("pytorch_model.bin",):
        as_torch_file(tmp_path)
    hidden = tmp_path / files[0]
    asked = []

    def snapshot_download(repository, *, allow_patterns):
        asked.extend(allow_patterns)
        wanted = any(hidden.match(pattern) for pattern in allow_patterns)
        hidden.with_suffix(".hidden").rename(hidden) if wanted and not hidden.exists() else None
        assert repository == "someone/segformer"
        return str(tmp_path)

    hidden.rename(hidden.with_suffix(".hidden"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    ours = erfscope.load_model("hf:someone/segformer")
    assert ours.info.format == "transformers model of the hub"
    assert ("pytorch_model*.bin" in asked) == (files == ("pytorch_model.bin",))
    assert all(pattern.endswith((".json", ".safetensors", ".bin")) for pattern in asked)
    assert_same_outputs(logits(ours), expected)


def test_no_way_to_the_hub(monkeypatch, torchvision):
    import huggingface_hub

    def snapshot_download(*_arguments, **_named):
        raise OSError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(
        CheckpointError, match="is no folder here and can't be had .* no route to host"
    ) as error:
        erfscope.load_model("hf:someone/segformer")
    assert "\n" not in str(error.value)


def test_what_a_folder_cannot_be_changed_to(segformer, tmp_path):
    segformer.save_pretrained(tmp_path)
    for options, refused in (
        ({"num_classes": 3}, "--num-classes can't be changed"),
        ({"checkpoint": tmp_path / "model.safetensors"}, "leave --checkpoint out"),
        ({"config": tmp_path / "config.json"}, "--config has no meaning here"),
    ):
        with pytest.raises(CheckpointError, match=refused):
            erfscope.load_model(f"hf:{tmp_path}", **options)


def test_the_log_and_the_bars_are_left_as_found(segformer, tmp_path, capfd):
    from transformers.utils import logging

    segformer.save_pretrained(tmp_path)
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    capfd.readouterr()
    erfscope.load_model(str(tmp_path))
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")


PROCESSORS = {
    "segformer": ("SegformerImageProcessor", {}),
    "no mean": ("SegformerImageProcessor", {"do_normalize": False}),
    "0 to 255": ("SegformerImageProcessor", {"do_normalize": False, "do_rescale": False}),
    "0 to 255, normalized": ("SegformerImageProcessor", {"do_rescale": False, "image_mean": [120, 110, 100],
                                                       "image_std": [60, 50, 40]}),
    "another factor": ("BeitImageProcessor", {"rescale_factor": 1 / 127.5, "do_center_crop": False}),
    "mobilevit": ("MobileViTImageProcessor", {"do_center_crop": False}),
    "mobilevit in r, g, b": ("MobileViTImageProcessor", {"do_center_crop": False,
                                                         "do_flip_channel_order": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", PROCESSORS)
def test_normalization_is_the_image_processors(name, torchvision, tmp_path):
    import transformers

    kind, options = PROCESSORS[name]
    processor = getattr(transformers, kind)(do_resize=False, **options)
    processor.save_pretrained(tmp_path)
    make_config("mobilevit" if "mobilevit" in name else "segformer").save_pretrained(tmp_path)
    training = erfscope.load_model(str(tmp_path)).info.training
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    expected = processor(torch.from_numpy(pixels), return_tensors="pt", input_data_format="channels_first")
    mean, std = (np.array(each)[:, None, None] for each in (training.mean, training.std))
    found = (pixels / 255 - mean) / std
    found = found[::-1] if training.channel_order == "bgr" else found
    # float32 against float64, of values up to 255
    np.testing.assert_allclose(found, expected["pixel_values"][0], rtol=1e-5, atol=1e-5)
