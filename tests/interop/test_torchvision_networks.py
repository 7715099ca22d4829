"""`torchvision:NAME`, and torchvision's state dicts without torchvision."""

import sys

import pytest
import torch
from safetensors.torch import save_file
from same_outputs import assert_same_outputs
from tiers import representatives

import erfscope
from erfscope.checkpoints.formats.torchvision.torchvision_reader import NETWORKS
from erfscope.errors import CheckpointError

pytestmark = pytest.mark.representative

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(scope="session")
def theirs(torchvision):
    """Make a network of torchvision once, with its auxiliary classifier where it has one."""
    made = {}

    def make(name):
        if name not in made:
            torch.manual_seed(2)
            options = {} if name.startswith("lraspp") else {"aux_loss": True}
            build = getattr(torchvision.models.segmentation, name)
            network = build(weights=None, weights_backbone=None, num_classes=5, **options).eval()
            with torch.no_grad():
                for module in network.modules():  # statistics that are not the identity
                    if isinstance(module, torch.nn.BatchNorm2d):
                        module.running_mean.normal_(std=0.1)
                        module.running_var.uniform_(0.5, 1.5)
                        module.weight.uniform_(0.3, 0.7)
            made[name] = network
        return made[name]

    return make


def logits(network, image):
    with torch.no_grad():
        output = network(image)
    return output if isinstance(output, torch.Tensor) else output["out"]


@pytest.mark.parametrize("name", representatives(NETWORKS, ("lraspp_mobilenet_v3_large",)))
def test_weights_from_a_file(name, theirs, tmp_path):
    network = theirs(name)
    torch.save({"model": network.state_dict(), "epoch": 3}, tmp_path / "w.pth")
    ours = erfscope.load_model(f"torchvision:{name}", checkpoint=tmp_path / "w.pth")
    image = torch.randn(1, 3, 65, 97)
    assert_same_outputs(logits(ours, image), logits(network, image))
    info = ours.info
    kind, _, backbone = name.partition("_")
    assert (info.name, info.format) == (f"torchvision-{kind}", "torchvision")
    assert info.options["backbone"] == backbone
    assert (info.weights.missing, info.weights.unexpected) == ((), ())
    assert (info.weights.left_out > 0) == (not name.startswith("lraspp"))
    assert info.options["num_classes"] == 5
    assert (info.training.mean, info.training.std) == IMAGENET
    assert info.training.classes == ()
    rates = {m.dilation[0] for m in network.classifier.modules() if isinstance(m, torch.nn.Conv2d)} - {1}
    assert set(info.options["rates"] or ()) == rates
    with torch.no_grad():
        coarse = network.backbone(image)["high" if name.startswith("lraspp") else "out"]
    assert info.options["output_stride"] == round(96 / (coarse.shape[-1] - 1))
    assert not ours.training


def test_random_weights_and_what_is_refused(torchvision, tmp_path):
    name = "torchvision:lraspp_mobilenet_v3_large"
    first, again = (erfscope.load_model(name, seed=3) for _ in range(2))
    assert (first.info.weights.source, first.info.weights.seed) == ("random", 3)
    assert first.info.options["num_classes"] == 21
    weight = "network.classifier.low_classifier.weight"
    assert torch.equal(first.state_dict()[weight], again.state_dict()[weight])
    with pytest.raises(CheckpointError, match="expected one of deeplabv3_resnet50, deeplabv3_resnet101"):
        erfscope.load_model("torchvision:deeplabv3")
    with pytest.raises(
        CheckpointError, match="--output-stride can't be changed: .*--model torchvision-deeplabv3"
    ):
        erfscope.load_model(name, output_stride=16)
    with pytest.raises(CheckpointError, match="leave --checkpoint out: the option pretrained"):
        erfscope.load_model(name, pretrained=True, checkpoint=tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="pretrained is true or false"):
        erfscope.load_model(name, pretrained="yes")
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"doesn't fit the network that torchvision:lraspp"):
        erfscope.load_model(name, checkpoint=tmp_path / "other.pth")


@pytest.mark.filterwarnings("ignore")
def test_torchvisions_own_weights(theirs, tmp_path, monkeypatch, capsys):
    """The real loader, with the download alone replaced."""
    name = "lraspp_mobilenet_v3_large"
    torch.manual_seed(0)
    from torchvision.models import get_model, get_model_weights

    network = get_model(name, weights=None, weights_backbone=None).eval()
    asked = []

    def download(url, target, hash_prefix, progress):
        asked.append((url, hash_prefix))
        torch.save(network.state_dict(), target)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    ours = erfscope.load_model(f"torchvision:{name}", pretrained=True)
    weights = get_model_weights(name).DEFAULT
    assert asked == [(weights.url, "d234d4ea")]
    image = torch.randn(1, 3, 65, 97)
    assert_same_outputs(logits(ours, image), logits(network, image))
    info = ours.info
    assert info.training.classes == tuple(weights.meta["categories"])
    assert info.weights.source == str(tmp_path / "checkpoints" / weights.url.rsplit("/", 1)[-1])
    assert len(info.weights.sha256) == 64
    assert info.weights.missing == ()

    assert capsys.readouterr().out == ""  # which is for the result alone

    def fail(*args, **options):
        raise OSError("no\nnetwork")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "empty"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(CheckpointError, match=r"can't be downloaded \(OSError: no network\); fetch it"):
        erfscope.load_model(f"torchvision:{name}", pretrained=True)


def test_a_download_that_would_run_code(torchvision, tmp_path, monkeypatch):
    class RunsCode:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'executed')!r}, 'w')",)

    monkeypatch.setattr(
        torch.hub, "download_url_to_file", lambda url, target, *_: torch.save(RunsCode(), target)
    )
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(CheckpointError, match="can't be downloaded"):
        erfscope.load_model("torchvision:lraspp_mobilenet_v3_large", pretrained=True)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "name",
    representatives(
        ["deeplabv3_resnet50", "deeplabv3_resnet101", "fcn_resnet50", "fcn_resnet101"], ["fcn_resnet50"]
    ),
)
def test_a_bare_state_dict_is_recognized(name, theirs, tmp_path):
    network = theirs(name)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    kind, backbone = name.split("_")
    ours = erfscope.load_model(str(tmp_path / "w.safetensors"))
    info = ours.info
    assert (info.name, info.format) == (f"torchvision-{kind}", "torchvision state dict")
    assert info.detected_by == f"all its tensors, which are those of torchvision-{kind} on {backbone}"
    assert (info.options["backbone"], info.options["num_classes"]) == (backbone, 5)
    assert (info.weights.missing, info.weights.unexpected) == ((), ())
    image = torch.randn(1, 3, 65, 97)
    assert_same_outputs(logits(ours, image), logits(network, image))


def test_without_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(
        CheckpointError, match=r"needs the library torchvision.*pip install 'erfscope\[torchvision\]'"
    ):
        erfscope.load_model("torchvision:fcn_resnet50")
