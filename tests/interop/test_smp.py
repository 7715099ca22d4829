"""Networks that segmentation_models_pytorch saved: the same logits here, and what their files tell."""

import json
import os
import shutil

import pytest
import torch
from same_outputs import assert_same_outputs
from tiers import representatives

import erfscope
from erfscope.checkpoints.formats.smp.smp_config import ARCHITECTURES
from erfscope.checkpoints.formats.smp.smp_preprocessing import read_preprocessing
from erfscope.errors import CheckpointError

pytestmark = pytest.mark.filterwarnings("ignore")  # of the library itself

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
VIT = ("tu-vit_tiny_patch16_224.augreg_in21k", {"dynamic_img_size": True})
#: Encoder and further arguments of each; all others stand on ResNet-18.
OPTIONS = {
    "DPT": VIT,
    "Segformer": ("mit_b0", {}),
    "Linknet": ("mobilenet_v2", {"aux_params": {"classes": 3}}),
    "FPN": ("timm-mobilenetv3_small_minimal_100", {"decoder_merge_policy": "cat"}),
    "UPerNet": ("tu-convnext_atto", {}),
    "Unet": ("resnet18", {"activation": "softmax2d", "decoder_attention_type": "scse"}),
    "DeepLabV3Plus": ("resnet18", {"encoder_output_stride": 8, "decoder_atrous_rates": (6, 12, 18)}),
}


@pytest.fixture(scope="session")
def smp(torchvision):
    import segmentation_models_pytorch

    return segmentation_models_pytorch


def make(smp, name, classes=4, **more):
    torch.manual_seed(1)
    encoder, options = OPTIONS.get(name, ("resnet18", {}))
    network = getattr(smp, name)(encoder, encoder_weights=None, classes=classes, **{**options, **more}).eval()
    with torch.no_grad():  # statistics that are not the identity, as after training
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network


@pytest.fixture(scope="session")
def saved(smp, tmp_path_factory):
    """Save an architecture once; its network and its folder."""
    made = {}

    def save(name):
        if name not in made:
            network = make(smp, name)
            folder = tmp_path_factory.mktemp(name)
            network.save_pretrained(folder)
            made[name] = network, folder
        return made[name]

    return save


def edit(folder, target, **changes):
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, **changes}))
    return target


def logits(network, image):
    with torch.no_grad():
        return network(image)


@pytest.mark.parametrize("prefix", representatives(["", "smp:"], ["smp:"]), ids=["bare", "smp"])
@pytest.mark.parametrize("name", representatives(ARCHITECTURES, ("DeepLabV3Plus",)))
def test_a_saved_folder_gives_the_same_logits(name, prefix, saved):
    theirs, folder = saved(name)
    ours = erfscope.load_model(f"{prefix}{folder}")
    image = torch.randn(1, 3, 128, 160)
    expected = logits(theirs, image)
    if name == "Linknet":  # beside the map it returns the auxiliary classifier's output
        expected, _ = expected
    if name == "Unet":  # softmax2d turned logits into probabilities: only their differences can be told
        assert torch.allclose(expected.sum(1), torch.ones(()))
        expected = logits(theirs.segmentation_head[0], theirs.decoder(theirs.encoder(image)))
    assert_same_outputs(logits(ours, image), expected)
    info = ours.info
    assert info.name == name
    assert (info.weights.missing, info.weights.unexpected) == ((), ())
    assert info.weights.source == str(folder / "model.safetensors")
    assert len(info.weights.sha256) == 64
    assert info.format == "segmentation_models_pytorch folder"
    assert info.detected_by == ("the prefix smp:" if prefix else f"_model_class in {folder / 'config.json'}")
    assert info.options["num_classes"] == 4
    assert info.options["backbone"] == OPTIONS.get(name, ("resnet18", {}))[0]
    assert not ours.training
    assert ("activation" in info.options) == (name == "Unet")


@pytest.mark.slow
def test_its_map_is_the_librarys(saved):
    theirs, folder = saved("DeepLabV3")
    images = [torch.randn(3, 64, 64)]
    ours = erfscope.compute_erf(erfscope.load_model(str(folder)), images, precision="float64")
    plain = erfscope.compute_erf(theirs, images, precision="float64", engine="dense")
    # Float64 sums in another order.
    assert abs(ours.erf - plain.erf).max() <= 1e-12 * plain.erf.max()


def test_stride_and_rates_of_a_folder(saved):
    theirs, folder = saved("DeepLabV3Plus")
    as_saved = erfscope.load_model(str(folder)).info
    assert (as_saved.options["output_stride"], as_saved.options["rates"]) == (8, [6, 12, 18])
    assert as_saved.trained_settings == {}
    coarse = erfscope.load_model(str(folder), output_stride=16)
    assert (coarse.info.options["output_stride"], coarse.info.options["rates"]) == (16, [3, 6, 9])
    assert coarse.info.trained_settings == {"output_stride": 8, "rates": [6, 12, 18]}
    assert coarse.info.weights.missing == ()
    image = torch.randn(1, 3, 64, 64)
    assert not torch.equal(logits(coarse, image), logits(theirs, image))
    chosen = erfscope.load_model(str(folder), rates=(2, 4, 6)).info
    assert (chosen.options["rates"], chosen.trained_settings) == ([2, 4, 6], {"rates": [6, 12, 18]})
    odd = erfscope.load_model(str(folder), output_stride=16, rates=(1, 2, 5)).info
    assert odd.options["rates"] == [1, 2, 5]
    with pytest.raises(CheckpointError, match="--num-classes can't be changed: .*config.json describes"):
        erfscope.load_model(str(folder), num_classes=3)
    with pytest.raises(CheckpointError, match="leave --checkpoint out: the folder has its own"):
        erfscope.load_model(str(folder), checkpoint=folder / "model.safetensors")


def test_rates_that_would_not_be_whole(saved, tmp_path):
    _, folder = saved("DeepLabV3Plus")
    odd = edit(folder, tmp_path / "odd", decoder_atrous_rates=[5, 9, 11])
    with pytest.raises(CheckpointError, match=r"rates 5,9,11 would be 2.5,4.5,5.5; give whole ones"):
        erfscope.load_model(str(odd), output_stride=16)
    junk = edit(folder, tmp_path / "junk", decoder_atrous_rates="abc")
    with pytest.raises(CheckpointError, match="no rates at output stride 16 follow from its own"):
        erfscope.load_model(str(junk), output_stride=16)


def test_what_an_architecture_has_not(saved):
    _, folder = saved("Unet")
    with pytest.raises(CheckpointError, match="Unet takes no output_stride; it takes backbone, num_classes"):
        erfscope.load_model(str(folder), output_stride=8)


@pytest.mark.representative
def test_a_pickled_folder(saved, tmp_path):
    theirs, folder = saved("Unet")
    other = edit(folder, tmp_path / "pickled")
    (other / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), other / "pytorch_model.bin")
    ours = erfscope.load_model(str(other))
    assert ours.info.weights.source.endswith("pytorch_model.bin")
    assert ours.info.weights.missing == ()
    (other / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"holds neither model.safetensors nor pytorch_model.bin"):
        erfscope.load_model(str(other))


@pytest.mark.representative
def test_a_hostile_pickle_in_a_folder(saved, tmp_path):
    class RunsCode:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    folder = edit(saved("Unet")[1], tmp_path / "hostile")
    (folder / "model.safetensors").unlink()
    torch.save({"state_dict": RunsCode()}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin is refused") as caught:
        erfscope.load_model(str(folder))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_a_state_dict_with_a_config_beside_it(saved, tmp_path):
    theirs, folder = saved("FPN")
    torch.save({"state_dict": theirs.state_dict(), "epoch": 3}, tmp_path / "w.pth")
    ours = erfscope.load_model(str(tmp_path / "w.pth"), config=folder / "config.json")
    image = torch.randn(1, 3, 64, 64)
    assert_same_outputs(logits(ours, image), logits(theirs, image))
    assert ours.info.format == "segmentation_models_pytorch state dict"
    assert ours.info.weights.source == str(tmp_path / "w.pth")


def test_state_dicts_of_former_releases(smp, tmp_path):
    """Their names are translated as the library itself does it."""
    theirs = make(smp, "DeepLabV3")
    new = {"decoder.aspp.": "decoder.0.", "decoder.conv.": "decoder.1.", "decoder.bn.": "decoder.2."}
    old = {}
    for name, tensor in theirs.state_dict().items():
        prefix = next((prefix for prefix in new if name.startswith(prefix)), "")
        old[new.get(prefix, "") + name.removeprefix(prefix)] = tensor
    assert old.keys() != theirs.state_dict().keys()
    torch.save(old, tmp_path / "old.pth")
    ours = erfscope.load_model("smp:DeepLabV3", backbone="resnet18", checkpoint=tmp_path / "old.pth")
    assert ours.info.weights.missing == ()
    image = torch.randn(1, 3, 64, 64)
    assert_same_outputs(logits(ours, image), logits(theirs, image))


def test_within_a_training_module(saved, tmp_path):
    theirs, _ = saved("FPN")
    state = {f"net.{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({"state_dict": state | {"loss.weight": torch.ones(4)}}, tmp_path / "w.ckpt")
    options = {"backbone": OPTIONS["FPN"][0], "decoder_merge_policy": "cat"}
    ours = erfscope.load_model("smp:FPN", checkpoint=tmp_path / "w.ckpt", **options)
    assert ours.info.options["num_classes"] == 4
    image = torch.randn(1, 3, 64, 64)
    assert_same_outputs(logits(ours, image), logits(theirs, image))


def test_an_architecture_by_its_name(saved):
    theirs, folder = saved("DeepLabV3Plus")
    options = {"backbone": "resnet18", "output_stride": 8, "rates": (6, 12, 18)}
    weights = folder / "model.safetensors"
    ours = erfscope.load_model("smp:DeepLabV3Plus", checkpoint=weights, **options)
    assert ours.info.options["num_classes"] == 4  # the classifier's
    image = torch.randn(1, 3, 64, 64)
    assert_same_outputs(logits(ours, image), logits(theirs, image))
    assert ours.info.training.mean is None
    with pytest.raises(CheckpointError, match=r"doesn't fit the network that smp:DeepLabV3Plus describes"):
        erfscope.load_model("smp:DeepLabV3Plus", backbone="resnet34", checkpoint=weights)


def test_random_weights_follow_the_seed(smp):
    state = torch.random.get_rng_state()
    first, again, other = (
        erfscope.load_model(
            "smp:Unet", backbone="resnet18", encoder_depth=3, decoder_channels=(64, 32, 16), seed=s
        )
        for s in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = [each.network.encoder.conv1.weight for each in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    report = first.info.weights
    assert (report.source, report.seed, report.matched) == ("random", 0, ())
    assert first.info.options["decoder_channels"] == (64, 32, 16)
    with pytest.raises(CheckpointError, match="Unet takes no rates"):
        erfscope.load_model("smp:Unet", rates=(1, 2, 3))
    with pytest.raises(
        CheckpointError, match=r"is neither a folder, .* nor an architecture: Unet, UnetPlusPlus"
    ):
        erfscope.load_model("smp:Unnet")


def test_normalization_of_every_encoder(smp):
    """The library keeps VGG's numbers in its code still, and timm its own; the others are held to these."""
    from segmentation_models_pytorch.encoders import encoders, get_preprocessing_params
    from segmentation_models_pytorch.encoders.vgg import pretrained_settings

    told = {(name, w): tuple(map(tuple, (s["mean"], s["std"]))) for name, all_ in pretrained_settings.items()
            for w, s in all_.items()}  # fmt: skip
    for name in ("tu-resnet18", "tu-vit_tiny_patch16_224.augreg_in21k", "tu-tf_efficientnet_b0.ap_in1k"):
        parameters = get_preprocessing_params(name)
        told[name, True] = tuple(map(tuple, (parameters["mean"], parameters["std"])))
        assert (parameters["input_space"], parameters["input_range"]) == ("RGB", [0, 1])
    assert told["tu-vit_tiny_patch16_224.augreg_in21k", True] == HALVES
    told |= {
        ("xception", "imagenet"): HALVES,
        ("timm-efficientnet-b0", "advprop"): HALVES,
        ("timm-efficientnet-b0", "noisy-student"): IMAGENET,
        ("inceptionv4", "imagenet+background"): HALVES,
        ("mit_b0", "imagenet"): IMAGENET,
    }
    for (name, weights), expected in told.items():
        facts = read_preprocessing(name, weights, "test")
        assert (facts.mean, facts.std) == expected, name
    assert read_preprocessing("dpn68", "imagenet", "test").mean == pytest.approx(
        (0.48627, 0.45882, 0.40784), abs=1e-5
    )
    assert read_preprocessing("dpn68", "imagenet", "test").std == pytest.approx((0.23482,) * 3, abs=1e-5)
    for name, described in encoders.items():  # of any new one
        for weights in described["pretrained_settings"]:
            assert read_preprocessing(name, weights, "test").mean is not None


def test_normalization_from_the_config_without_a_download(saved, tmp_path, monkeypatch):
    import huggingface_hub

    def refuse(*args, **kwargs):
        raise AssertionError("a download")

    _, folder = saved("Unet")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", refuse)
    trained = edit(folder, tmp_path / "trained", encoder_weights="imagenet")
    training = erfscope.load_model(str(trained)).info.training
    assert (training.mean, training.std, training.channel_order) == (*IMAGENET, "rgb")


def test_a_repository_of_the_hub(saved, monkeypatch):
    import huggingface_hub

    _, folder = saved("Unet")
    asked = {}

    def download(repository, **options):
        asked.update(options, repository=repository)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert erfscope.load_model("smp:someone/leaves").info.name == "Unet"
    assert asked == {"repository": "someone/leaves", "allow_patterns": ["*.json", "*.safetensors"]}

    def fail(repository, **options):
        raise OSError("no way\nto the hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(CheckpointError, match="no folder here and can't be had from the Hugging Face hub"):
        erfscope.load_model("smp:someone/leaves")


HOSTILE = {
    "in_channels": (4, "takes 4 channels"),
    "_model_class": ("__builtins__", "has no network '__builtins__'"),
    "encoder_name": ("tu-hf-hub:user/evil", "is no encoder's name"),
    "encoder_depth": (10**9, "encoder_depth is 1e\\+09; expected at most 65536"),
    "decoder_channels": ([16] * 1000, "decoder_channels holds 1000 values"),
    "classes": (60000, r"\[4, 16, 3, 3\] in the file, \[60000, 16, 3, 3\] here"),
    "img_size": (65536, "img_size is 65536; expected at most 4096"),
    "checkpoint_path": ("evil.pth", "Unet takes no 'checkpoint_path'"),
    "pretrained_cfg": ({"file": "evil.pth"}, "Unet takes no 'pretrained_cfg'"),
    "aux_params": ({"classes": 65536, "pooling": "avg"}, "missing classification_head"),
    "decoder_use_norm": ({"type": "inplace"}, "can't be built"),
}


@pytest.mark.representative
@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_configs(key, saved, tmp_path, monkeypatch):
    value, message = HOSTILE[key]
    monkeypatch.setattr(
        "erfscope.checkpoints.fitting.build_filled.build_seeded", lambda *_: pytest.fail("built for good")
    )
    folder = edit(saved("Unet")[1], tmp_path / "hostile", **{key: value})
    with pytest.raises(CheckpointError, match=message) as caught:
        erfscope.load_model(str(folder))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_partial_load_may_not_grow_without_bound(saved, tmp_path):
    folder = edit(saved("Unet")[1], tmp_path / "huge", decoder_channels=[60000, 60000, 60000, 60000, 16])
    with pytest.raises(CheckpointError, match="describes a network of .* values, and its file holds"):
        erfscope.load_model(str(folder), allow_partial=True)
