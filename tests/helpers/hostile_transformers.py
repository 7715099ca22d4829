"""Folders of transformers made to harm: how a sound one is spoiled, and what the refusal says."""

import json
import os
import struct

import torch
from safetensors.torch import load_file, save_file
from transformers_networks import make_config

WEIGHTS = "model.safetensors"


class Command:
    """Unpickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def touch(folder):
    return f"touch {folder.parent / 'ran'}"


def edit(folder, name="config.json", **changes):
    path = folder / name
    settings = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**settings, **changes}))


def pickled(content):
    def spoil(folder):
        (folder / WEIGHTS).unlink()
        torch.save(content(folder), folder / "pytorch_model.bin")

    return spoil


def index(named, shards=()):
    def spoil(folder):
        (folder / WEIGHTS).rename(folder.parent / "outside.safetensors")
        weight_map = {"a": named(folder)} if callable(named) else named
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))
        for name, content in shards:
            torch.save(content(folder), folder / name)

    return spoil


def hostile_shard(folder):
    state = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save(state, folder / "pytorch_model-1.bin")
    torch.save({"x": Command(os.system, touch(folder))}, folder / "pytorch_model-2.bin")
    named = {"a": "pytorch_model-1.bin", "x": "pytorch_model-2.bin"}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": named}))


def header(size, text):
    def spoil(folder):
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", size) + text + b"\0" * 64)

    return spoil


def offsets(shape, begin, end):
    text = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}}).encode()
    return header(len(text), text)


def config(**changes):
    return lambda folder: edit(folder, **changes)


def processor(**changes):
    return lambda folder: edit(folder, "preprocessor_config.json", **changes)


def text(name, content):
    def spoil(folder):
        (folder / name).write_bytes(content() if callable(content) else content)

    return spoil


def of(name, **changes):
    """The config of another small network, without weights, in place of what is there."""

    def spoil(folder):
        (folder / WEIGHTS).unlink()
        made = make_config(name).to_dict()
        for key, value in changes.items():
            within = isinstance(made.get(key), dict) and isinstance(value, dict)
            made[key] = {**made[key], **value} if within else value
        (folder / "config.json").write_text(json.dumps(made, default=str))

    return spoil


def code_of_its_own(folder):
    (folder / "evil.py").write_text(f"import os; os.system({touch(folder)!r})\n")
    names = {"AutoConfig": "evil.Config", "AutoModelForSemanticSegmentation": "evil.Net"}
    edit(folder, model_type="evil", auto_map=names)


def a_class_less(folder):
    edit(folder, id2label={str(number): f"class {number}" for number in range(4)}, label2id=None)


def only_a_backbone(folder):
    state = load_file(folder / WEIGHTS)
    save_file({name: t for name, t in state.items() if name.startswith("segformer.")}, folder / WEIGHTS)


def names_of_many_lines(folder):
    save_file({"a\nb" * 10_000: torch.zeros(90_000)}, folder / WEIGHTS)


def integers(folder):
    state = load_file(folder / WEIGHTS)
    save_file({name: t.char() if t.ndim > 1 else t for name, t in state.items()}, folder / WEIGHTS)


def more_than_the_network_has(folder):
    save_file({**load_file(folder / WEIGHTS), "spare": torch.zeros(10_000)}, folder / WEIGHTS)


def another_format(folder):
    (folder / WEIGHTS).rename(folder / "tf_model.h5")


def dangling(folder):
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to(folder / "nowhere")


def a_folder_of_weights(folder):
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()


def deep():
    return b'{"model_type": "segformer", "depths": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


BILLION = 10**9
FOLDERS = {
    # code
    "code of its own": (
        code_of_its_own,
        "model_type 'evil' is not supported; the code that its auto_map names is",
    ),
    "os.system": (
        pickled(lambda f: {"a": Command(os.system, touch(f))}),
        r"pytorch_model.bin is refused.*system",
    ),
    "exec": (pickled(lambda f: Command(exec, f"import os; os.system({touch(f)!r})")), "refused.*exec"),
    "a hostile shard": (hostile_shard, r"pytorch_model-2.bin is refused.*system"),
    "a pickle among safetensors": (
        index({"a": "evil.bin"}, [("evil.bin", lambda f: Command(os.system, touch(f)))]),
        "names the file 'evil.bin', not a .safetensors file beside it",
    ),
    # what would be fetched
    "a backbone of the hub": (
        of("upernet over swin", backbone="microsoft/swin-tiny", backbone_config=None),
        "names the backbone 'microsoft/swin-tiny' of the hub",
    ),
    "timm's hub": (
        of(
            "upernet over swin",
            backbone_config={"model_type": "timm_backbone", "backbone": "hf-hub:someone/evil"},
        ),
        "'hf-hub:someone/evil' is no name of a network of timm",
    ),
    "timm's folders": (
        of(
            "upernet over swin", backbone_config={"model_type": "timm_backbone", "backbone": "local-dir:/tmp"}
        ),
        "'local-dir:/tmp' is no name of a network of timm",
    ),
    "no network of timm": (
        of("upernet over swin", backbone_config={"model_type": "timm_backbone", "backbone": "evilnet"}),
        "can't be built",
    ),
    "a text model for a backbone": (
        of("upernet over swin", backbone_config={"model_type": "bert"}),
        "backbone_config has the model_type 'bert'; expected one of",
    ),
    "itself for a backbone": (
        of("upernet over swin", backbone_config={"model_type": "upernet"}),
        "has the model_type 'upernet'; expected one of",
    ),
    # files elsewhere, or not there
    "a path out of the folder": (
        index({"a": "../outside.safetensors"}),
        "names the file '../outside.safetensors', not",
    ),
    "an absolute path": (
        index(lambda f: str(f.parent / "outside.safetensors")),
        "names the file '/.*, not a",
    ),
    "a shard that is missing": (
        index({"a": "model-1.safetensors"}),
        "'model-1.safetensors', which is not beside it",
    ),
    "a name of several lines": (
        index({"a": "a\nb.safetensors"}),
        r"'a\\nb.safetensors', which is not beside it",
    ),
    "no map of shards": (index([1, 2]), "has no weight_map"),
    "a dangling link": (dangling, "model.safetensors .*does not exist"),
    "a folder for weights": (a_folder_of_weights, "model.safetensors is a folder"),
    "another format": (another_format, "has no model.safetensors or pytorch_model.bin, only tf_model.h5"),
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json|without config.json"),
    # broken tensors
    "a header of 100 GB": (header(100 * 10**9, b"{}"), "not a readable safetensors file"),
    "a tensor of 100 GB": (offsets([25 * BILLION], 0, 100 * BILLION), "not a readable safetensors file"),
    "offsets that overlap": (offsets([4], 0, 32), "not a readable safetensors file"),
    "offsets from behind": (offsets([4], 32, 16), "not a readable safetensors file"),
    "an empty file": (text(WEIGHTS, b""), "model.safetensors"),
    "a web page": (text(WEIGHTS, b"<!DOCTYPE html><html>503</html>"), "model.safetensors"),
    "half a file": (lambda f: os.truncate(f / WEIGHTS, 50_000), "not a readable safetensors file"),
    # descriptions that never end
    "deep JSON": (text("config.json", deep), "config.json is no readable JSON"),
    "long JSON": (
        text("config.json", lambda: b"[" + b"0," * 3_000_000 + b"0]"),
        "too many for a description",
    ),
    "many values": (text("config.json", lambda: b"[" + b"0," * 400_000 + b"0]"), "is no readable JSON"),
    "no JSON": (text("config.json", b"\x80\x04hello"), "is no readable JSON"),
    "a list": (text("config.json", b"[1]"), "is no JSON object"),
    "a type that is a list": (config(model_type=["segformer"]), "is not supported"),
    # sizes
    "a width of a billion": (config(decoder_hidden_size=BILLION), "decoder_hidden_size has a number beyond"),
    "a depth of a billion": (config(depths=[BILLION] * 4), "depths has a number beyond"),
    "a depth of thousands": (config(depths=[5_000] * 4), "more than 10000 modules"),
    "many depths": (config(depths=[20_000] * 100, num_encoder_blocks=100), "depths has a number beyond"),
    "blocks by the thousand": (
        config(num_encoder_blocks=20_000),
        "describes no segformer|can't be built|modules",
    ),
    "a list by the thousand": (config(depths=[1] * 101), "depths has 101 entries"),
    "a wide network": (config(decoder_hidden_size=20_000), "describes .* values, its weights' file"),
    "a wide network without weights": (
        of("segformer", hidden_sizes=[5_000] * 4, num_attention_heads=[1] * 4),
        "at most 5e.08 are made at random",
    ),
    "tables": (of("upernet over swin", backbone_config={"window_size": 200}), "describes tables of"),
    "a number of many digits": (config(hidden_sizes=[10**400] * 4), "hidden_sizes has a number beyond 20000"),
    "a float beyond all": (of("mobilevitv2", width_multiplier=1e300), "can't be built"),
    # nonsense
    "four channels": (config(num_channels=4), "images with 4 channels; expected three"),
    "a backbone of gray images": (
        of("upernet over swin", backbone_config={"num_channels": 1}),
        "with 1 channels",
    ),
    "an unknown activation": (config(hidden_act="os.system"), "can't be built"),
    "a string for a list": (config(depths="[1, 1, 1, 1]"), "describes no segformer"),
    "a mapping for a list": (config(depths={"a": {"b": 1}}), "depths is a mapping"),
    "widths below zero": (config(hidden_sizes=[-8, 16, 20, 24]), "can't be built"),
    "no heads": (config(num_attention_heads=[0, 0, 0, 0]), "can't be built"),
    "quantized": (config(quantization_config={"quant_method": "bitsandbytes"}), "quantized weights"),
    "no room for the task": (of("oneformer", task_seq_len=3), "no room for 'the task is semantic'"),
    "a mean of two": (
        processor(do_normalize=True, image_mean=[0.5, 0.5], image_std=[1, 1, 1]),
        "normalizes 2 channels",
    ),
    "a mean in words": (processor(image_mean="half", image_std=1), "normalizes by 'half'"),
    "a mean beyond all": (processor(image_mean=[float("inf")] * 3, image_std=1), "normalizes by 'inf'"),
    "a deviation of zero": (processor(image_mean=[0, 0, 0], image_std=[0, 1, 1]), "scales images by nothing"),
    "a factor of many digits": (
        processor(rescale_factor=10**400, image_mean=0, image_std=1),
        "normalizes by",
    ),
    "a deep processor": (
        text("preprocessor_config.json", deep),
        "preprocessor_config.json is no readable JSON",
    ),
    # weights of something else
    "a class less": (a_class_less, r"decode_head.classifier.* is \[5.*\] in the file, \[4.*\] here"),
    "only a backbone": (only_a_backbone, "nothing of decode_head"),
    "names of many lines": (names_of_many_lines, "unexpected a.ba.b"),
    "integers": (integers, "is of int8; save the network in floating point"),
    "more than the network has": (more_than_the_network_has, "unexpected spare"),
}
