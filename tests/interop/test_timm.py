"""timm's networks: the same numbers as timm's own, OpenERF's maps, and our heads over them."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from same_outputs import assert_same_outputs
from small_networks import noise_images
from tiers import representatives

import erfscope
from erfscope.checkpoints.formats.timm.timm_backbone import HEADS
from erfscope.errors import CheckpointError, ComputeError, NetworkError

pytestmark = pytest.mark.filterwarnings("ignore")  # of the library itself
INCEPTION = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
TINY_VIT = "vit_tiny_patch16_224"


@pytest.fixture(scope="session", autouse=True)
def timm(torchvision):
    """What timm imports is torchvision."""
    import timm

    return timm


@pytest.fixture(scope="session")
def weights(timm, tmp_path_factory):
    """Make a network of timm, with statistics that are not the identity, and save it: network and file."""
    made = {}

    def make(name, suffix=".safetensors", **options):
        key = (name, suffix, *options.items())
        if key not in made:
            torch.manual_seed(4)
            network = timm.create_model(name, **options).eval()
            with torch.no_grad():
                for module in network.modules():
                    if isinstance(module, torch.nn.BatchNorm2d):
                        module.running_mean.normal_(std=0.1)
                        module.running_var.uniform_(0.5, 1.5)
                        module.weight.uniform_(0.5, 1.5)
                    elif isinstance(module, torch.nn.LayerNorm):
                        module.weight.uniform_(0.5, 1.5)
            file = tmp_path_factory.mktemp("timm") / f"{name}{suffix}"
            save = save_file if suffix == ".safetensors" else torch.save
            save(network.state_dict(), file)
            made[key] = network, file
        return made[key]

    return make


def run(network, image):
    with torch.no_grad():
        return network(image)


TOKENS = [(TINY_VIT, {"img_size": 80}), ("swin_tiny_patch4_window7_224", {"img_size": 96})]


def openerf(network, images, layer):
    """The map that OpenERF defines: its own definition, written anew (github.com/kmbmjn/OpenERF)."""
    features, total = [], 0
    handle = layer.register_forward_hook(lambda module, args, output: features.append(output))
    for image in images:
        image = image[None].double().requires_grad_()
        network(image)
        x = features.pop()
        center = x[0, :, x.shape[2] // 2, x.shape[3] // 2].mean()
        (gradient,) = torch.autograd.grad(center, image)
        total = total + gradient.mean((0, 1)).clamp(min=0)
    handle.remove()
    return total.numpy(), x.shape[1]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_classifier_with_weights(weights, suffix):
    theirs, file = weights("resnet18", suffix, num_classes=7)
    ours = erfscope.load_model("timm:resnet18", checkpoint=file)
    image = torch.randn(1, 3, 64, 64)
    assert_same_outputs(run(ours, image), run(theirs, image))
    info = ours.info
    assert (info.name, info.format, info.options["num_classes"]) == ("resnet18", "timm classifier", 7)
    assert (info.weights.missing, info.weights.unexpected) == ((), ())
    assert info.training.crop_size == (224, 224)
    assert info.training.mean == (0.485, 0.456, 0.406)
    assert not ours.training


@pytest.mark.parametrize("options", [{}, {"head": "fcn"}], ids=["classifier", "backbone"])
def test_within_a_training_module(options, weights, tmp_path):
    theirs, _ = weights("resnet18", num_classes=7)
    state = {f"net.{name}": tensor for name, tensor in theirs.state_dict().items()}
    kept = {"state_dict": state | {"loss.weight": torch.ones(7)}, "hyper_parameters": {"lr": 0.1}}
    torch.save(kept, tmp_path / "w.ckpt")
    ours = erfscope.load_model("timm:resnet18", checkpoint=tmp_path / "w.ckpt", **options)
    weight = ours.backbone.body.conv1.weight if options else ours.conv1.weight
    assert torch.equal(weight, theirs.conv1.weight)
    assert options or ours.info.options["num_classes"] == 7
    assert ours.info.training.hyper_parameters == {"lr": 0.1}


def test_weights_without_a_classifier(weights):
    _, file = weights("resnet18", num_classes=0)
    assert erfscope.load_model("timm:resnet18", checkpoint=file).info.options["num_classes"] == 0


@pytest.mark.parametrize(
    ("name", "layer"),
    representatives(
        [("resnet18", "layer3"), ("mobilenetv3_small_050", "blocks.3"), ("convnext_atto", "stages.2")],
        [("resnet18", "layer3")],
    ),
)
def test_a_layers_map_is_openerfs(name, layer, weights):
    theirs, file = weights(name)
    ours = erfscope.load_model(f"timm:{name}", checkpoint=file)
    images = noise_images(2, (96, 96))
    erf = erfscope.compute_erf(ours, images, unit=layer, formula="openerf", precision="float64").erf
    expected, channels = openerf(theirs.double(), images, theirs.get_submodule(layer))
    theirs.float()
    # It averages over the layer's channels, which erfscope sums. Float64 sums in another order.
    np.testing.assert_allclose(erf / channels, expected, rtol=0, atol=1e-10 * expected.max())


def test_a_classifier_needs_a_layer():
    with pytest.raises(ComputeError, match="give a layer as the unit"):
        erfscope.compute_erf(erfscope.load_model("timm:resnet18"), noise_images(1, (64, 64)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    representatives(TOKENS, TOKENS[:1]),
)
def test_tokens_as_maps(name, options, weights):
    """OpenERF's center of an odd number of tokens; it takes the one above and left of ours of an even one."""
    theirs, file = weights(name, **options)
    ours = erfscope.load_model(f"timm:{name}", checkpoint=file, **options)
    side = options["img_size"]
    image = torch.randn(1, 3, side, side)
    assert_same_outputs(run(ours, image), run(theirs, image))
    assert ours.info.training.crop_size == (side, side)
    images = noise_images(1, (side, side))
    erf = erfscope.compute_erf(ours, images, unit="features", formula="openerf", precision="float64").erf
    theirs.double()
    image = images[0][None].double().requires_grad_()
    tokens = theirs.forward_features(image)
    grid = tokens.flatten(1, 2) if tokens.ndim == 4 else tokens[:, theirs.num_prefix_tokens :]
    (gradient,) = torch.autograd.grad(grid[0, grid.shape[1] // 2].mean(), image)
    theirs.float()
    expected = gradient.mean((0, 1)).clamp(min=0)
    expected = (expected / expected.sum()).detach().numpy()
    np.testing.assert_allclose(erf / erf.sum(), expected, rtol=0, atol=1e-10 * expected.max())
    last = f"maps.{len(ours.maps) - 1}"
    assert erfscope.compute_erf(ours, images, unit=last).erf.sum() > 0


@pytest.mark.parametrize("head", representatives(HEADS, ("deeplabv3",)))
def test_every_head(head, weights):
    theirs, file = weights("resnet18", num_classes=7)
    ours = erfscope.load_model("timm:resnet18", head=head, num_classes=3, checkpoint=file)
    assert run(ours, torch.randn(1, 3, 65, 97)).shape == (1, 3, 65, 97)
    info = ours.info
    assert (info.name, info.options["backbone"]) == (head, "timm:resnet18")
    assert info.options["num_classes"] == 3
    assert not any(name.startswith("backbone.") for name in info.weights.missing)
    assert len(info.weights.missing) > 0  # the head's
    assert info.weights.unexpected == ()
    own = theirs.state_dict()
    for name, tensor in ours.backbone.body.state_dict().items():
        assert torch.equal(tensor, own[name]), name
    assert info.weights.label.endswith("tensors random")


BACKBONES = {
    "resnet18": (8, (64, 128, 256, 512)),
    "mobilenetv3_small_050": (16, (16, 24, 288)),
    "convnext_atto": (16, (40, 80, 160, 320)),
    "efficientnet_lite0": (16, None),
    "swin_tiny_patch4_window7_224": (32, (96, 192, 384, 768)),
    TINY_VIT: (16, (192, 192, 192)),
    "hrnet_w18_small": (32, None),
    "vgg11": (32, None),
}


@pytest.mark.parametrize("name", representatives(BACKBONES, ("convnext_atto",)))
def test_backbones_of_all_kinds(name, weights, timm):
    stride, channels = BACKBONES[name]
    _, file = weights(name)
    ours = erfscope.load_model(
        f"timm:{name}", head="fcn", output_stride=stride, num_classes=3, checkpoint=file
    )
    side = ours.info.training.crop_size[0] if ours.info.training.crop_size else 64
    image = torch.randn(1, 3, side, side)
    maps = run(ours.backbone, image)
    plain = timm.create_model(name, features_only=True)
    assert len(maps) == min(4, len(plain.feature_info.channels()))
    assert ours.output_stride == stride
    assert maps[-1].shape[-1] == side // stride
    assert tuple(x.shape[1] for x in maps) == ours.backbone.channels
    assert channels is None or ours.backbone.channels[-len(channels) :] == channels
    assert run(ours, image).shape == (1, 3, side, side)
    assert not any(name.startswith("backbone.") for name in ours.info.weights.missing)


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
def test_a_backbones_maps_are_timms(name, weights):
    theirs, file = weights(name)
    ours = erfscope.load_model(f"timm:{name}", head="upernet", checkpoint=file)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs.forward_intermediates(image, intermediates_only=True)[-4:]
    for x, y in zip(run(ours.backbone, image), expected, strict=True):
        assert_same_outputs(x, y)


def test_stride_rates_and_width(weights):
    info = erfscope.load_model("timm:resnet18", head="deeplabv3", output_stride=16).info
    assert (info.options["output_stride"], info.options["rates"]) == (16, [6, 12, 18])
    wide = erfscope.load_model("timm:convnext_atto", head="deeplabv3", rates=(2, 4), output_stride=32)
    assert (wide.rates, wide.decode_head.channels) == ((2, 4), 512)
    # As wide as over the catalog's own ResNet-18.
    narrow = erfscope.load_model("timm:resnet18", head="deeplabv3plus")
    ours = erfscope.load_model("deeplabv3plus", backbone="resnet18")
    shapes = [{n: t.shape for n, t in each.decode_head.state_dict().items()} for each in (narrow, ours)]
    assert shapes[0] == shapes[1]


def test_a_whole_network_of_ours(tmp_path):
    """What `train` saves: backbone and head."""
    network = erfscope.load_model("timm:resnet18", head="pspnet", num_classes=6, seed=7)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    again = erfscope.load_model("timm:resnet18", head="pspnet", checkpoint=tmp_path / "w.pth")
    assert again.info.options["num_classes"] == 6
    assert (again.info.weights.missing, again.info.weights.unexpected) == ((), ())
    image = torch.randn(1, 3, 65, 65)
    assert_same_outputs(run(again, image), run(network, image))


def test_random_weights_follow_the_seed():
    first, again, other = (erfscope.load_model("timm:resnet18", head="fcn", seed=s) for s in (0, 0, 1))
    for part in ("backbone.body.conv1.weight", "decode_head.conv_seg.weight"):
        tensors = [each.state_dict()[part] for each in (first, again, other)]
        assert torch.equal(tensors[0], tensors[1])
        assert not torch.equal(tensors[0], tensors[2])
    assert (first.info.weights.source, first.info.weights.matched) == ("random", ())
    assert set(first.info.weights.missing) == {n for n in first.state_dict() if "num_batches" not in n}


def test_what_is_refused(weights, tmp_path):
    _, file = weights("resnet34")
    with pytest.raises(CheckpointError, match="doesn't fit the network that timm:resnet18 describes"):
        erfscope.load_model("timm:resnet18", checkpoint=file)
    with pytest.raises(CheckpointError, match=r"doesn't fit .*unexpected layer1\.2"):  # of a deeper one
        erfscope.load_model("timm:resnet18", head="fcn", checkpoint=file)
    with pytest.raises(CheckpointError, match="no network of timm; did you mean .*resnet18"):
        erfscope.load_model("timm:esnet18")
    with pytest.raises(CheckpointError, match="no head is called 'segformer'; expected one of ann, danet"):
        erfscope.load_model("timm:resnet18", head="segformer")
    with pytest.raises(CheckpointError, match="can't be brought to output stride 8; its own is 16"):
        erfscope.load_model(f"timm:{TINY_VIT}", head="fcn")
    with pytest.raises(CheckpointError, match="strides 16, 16, 16; take one that reads the last"):
        erfscope.load_model(f"timm:{TINY_VIT}", head="deeplabv3plus", output_stride=16)
    with pytest.raises(CheckpointError, match="leave multi_grid out: the backbone is timm's"):
        erfscope.load_model("timm:resnet18", head="fcn", multi_grid=(1, 2))
    with pytest.raises(NetworkError, match="fcn takes no rates"):
        erfscope.load_model("timm:resnet18", head="fcn", rates=(1, 2))
    with pytest.raises(CheckpointError, match="--rates can't be changed: timm's classifier takes"):
        erfscope.load_model("timm:resnet18", rates=(1, 2))
    with pytest.raises(CheckpointError, match=r"can't be built \(.*img_size"):
        erfscope.load_model("timm:resnet18", img_size=64)


@pytest.mark.parametrize("options", [{}, {"head": "fcn"}], ids=["classifier", "backbone"])
def test_timms_own_weights(options, weights, monkeypatch):
    """timm's real loader, with the download alone replaced."""
    theirs, file = weights("resnet18")
    asked = []

    def download(repo_id, filename, **_):
        asked.append((repo_id, filename))
        return str(file)

    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: str(file))
    ours = erfscope.load_model("timm:resnet18", pretrained=True, **options)
    assert asked == [("timm/resnet18.a1_in1k", "model.safetensors")]
    weight = ours.backbone.body.conv1.weight if options else ours.conv1.weight
    assert torch.equal(weight, theirs.conv1.weight)
    report = ours.info.weights
    assert report.source == "hf-hub:timm/resnet18.a1_in1k"
    assert len(report.sha256) == 64
    assert all(name.startswith("decode_head.") for name in report.missing)
    assert bool(report.missing) == bool(options)


def test_normalization_is_of_the_tag():
    facts = erfscope.load_model(f"timm:{TINY_VIT}.augreg_in21k").info.training
    assert (facts.mean, facts.std, facts.crop_size) == (*INCEPTION, (224, 224))
    assert erfscope.load_model("timm:resnet18", head="fcn").info.training.crop_size is None


@pytest.fixture(scope="session")
def folder(weights, timm, tmp_path_factory):
    theirs, _ = weights("resnet18", num_classes=7)
    path = tmp_path_factory.mktemp("saved")
    timm.models.save_for_hf(
        theirs, path, safe_serialization=True, model_config={"pretrained_cfg": {"mean": [0.1, 0.2, 0.3]}}
    )
    return theirs, path


def edit(folder, target, **changes):
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, **changes}))
    return target


@pytest.mark.representative
def test_a_folder_that_timm_saved(folder, monkeypatch):
    theirs, path = folder
    ours = erfscope.load_model(f"timm:{path}")
    image = torch.randn(1, 3, 64, 64)
    assert_same_outputs(run(ours, image), run(theirs, image))
    assert ours.info.detected_by == "the prefix timm:"
    assert ours.info.weights.source == str(path / "model.safetensors")
    assert ours.info.training.mean == (0.1, 0.2, 0.3)
    backbone = erfscope.load_model(f"timm:{path}", head="fcn")
    assert torch.equal(backbone.backbone.body.conv1.weight, theirs.conv1.weight)
    assert backbone.info.training.mean == (0.1, 0.2, 0.3)
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda *a, **k: asked.append((a, k)) or str(path)
    )
    assert erfscope.load_model("timm:someone/leaves").info.name == "resnet18"
    assert asked == [(("someone/leaves",), {"allow_patterns": ["*.json", "*.safetensors"]})]


def test_a_folder_of_another_size(timm, tmp_path):
    theirs = timm.create_model(TINY_VIT, img_size=80, num_classes=3).eval()
    timm.models.save_for_hf(theirs, tmp_path, safe_serialization=True)
    ours = erfscope.load_model(f"timm:{tmp_path}")
    image = torch.randn(1, 3, 80, 80)
    assert_same_outputs(run(ours, image), run(theirs, image))
    assert ours.info.training.crop_size == (80, 80)


HOSTILE = {
    "architecture": ("hf-hub:user/evil", "timm has no network 'hf-hub:user/evil'"),
    "model_args": ({"checkpoint_path": "evil.pth"}, "model_args names 'checkpoint_path'"),
    "pretrained_cfg": ({"mean": "abc"}, "mean is abc; expected three numbers"),
}


@pytest.mark.representative
@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_folders(key, folder, tmp_path):
    value, message = HOSTILE[key]
    path = edit(folder[1], tmp_path / "hostile", **{key: value})
    with pytest.raises(CheckpointError, match=message) as caught:
        erfscope.load_model(f"timm:{path}")
    assert "\n" not in str(caught.value)


def test_a_folder_of_a_huge_network_takes_no_memory(folder, tmp_path, monkeypatch):
    path = edit(folder[1], tmp_path / "huge", architecture="vit_giant_patch14_224")
    for module in ("fitting.build_filled", "formats.timm.timm_segmentor"):
        monkeypatch.setattr(
            f"erfscope.checkpoints.{module}.build_seeded", lambda *_: pytest.fail("built for good")
        )
    with pytest.raises(CheckpointError, match="doesn't fit the network that timm:vit_giant_patch14_224"):
        erfscope.load_model(f"timm:{path}")
    with pytest.raises(CheckpointError, match="doesn't fit the network that timm:vit_giant_patch14_224"):
        erfscope.load_model(f"timm:{path}", head="fcn", output_stride=8)
