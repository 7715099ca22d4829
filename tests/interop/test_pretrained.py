"""Backbones with torchvision's and timm's weights give torchvision's and timm's features."""

import pytest
import torch
from safetensors.torch import save_file
from tiers import representatives
from torch.nn import functional as F

from erfscope.train.network.pretrained import load_pretrained
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network

pytestmark = [pytest.mark.representative, pytest.mark.filterwarnings("ignore")]  # of the libraries themselves


@pytest.fixture(scope="session", autouse=True)
def timm(torchvision):
    """What timm imports is torchvision."""
    import timm

    return timm


def randomized(network):
    """Give a network weights that tell each layer from its neighbors, and statistics that are no identity."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 100
            parameter.normal_(std=0.02 if "embed" in name or "token" in name else fan**-0.5)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
            if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.LayerNorm)):
                module.weight.uniform_(0.5, 1.5)
    return network.eval()


def normalized(maps, eps):
    """(N, h, w, C) as a norm without weights leaves it, channels first."""
    return F.layer_norm(maps, maps.shape[-1:], eps=eps).permute(0, 3, 1, 2)


def torchvision_resnet(net, x):
    return net.layer4(net.layer3(net.layer2(net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x))))))))


def torchvision_vit(net, x):
    tokens = torch.cat([net.class_token, net._process_input(x)], 1) + net.encoder.pos_embedding
    for layer in net.encoder.layers:
        tokens = layer(tokens)
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (14, 14))


def timm_vit(net, x):
    return net.forward_intermediates(x, indices=1, norm=False, intermediates_only=True)[-1]


def timm_swin(net, x):
    """The third map: the last stage of the authors' network shifts no windows where one fills the map."""
    x = net.patch_embed(x)
    for layer in list(net.layers)[:3]:
        x = layer(x)
    return normalized(x, 1e-5)


#: Our network and backbone; whose network; its features; which of our maps they are.
CASES = {
    "resnet18 torchvision": ("fcn", "resnet18", "torchvision", "resnet18", torchvision_resnet, -1),
    "resnet50-v1d timm": ("fcn", "resnet50-v1d", "timm", "resnet50d", lambda n, x: n.forward_features(x), -1),
    "resnet50-v1c timm": ("fcn", "resnet50-v1c", "timm", "resnet50c", lambda n, x: n.forward_features(x), -1),
    "mobilenet-v2 torchvision": (
        "fcn", "mobilenet-v2", "torchvision", "mobilenet_v2", lambda n, x: n.features[:-1](x), -1
    ),
    "mobilenet-v3 torchvision": (
        "lraspp", "mobilenet-v3-small", "torchvision", "mobilenet_v3_small", lambda n, x: n.features[:2](x), 1
    ),
    "densenet torchvision": (
        "fcn", "densenet121", "torchvision", "densenet121", lambda n, x: n.features(x).relu(), -1
    ),
    "vit timm": ("setr-naive", "vit-t16", "timm", "vit_tiny_patch16_224", timm_vit, -1),
    "vit torchvision": ("setr-naive", "vit-b16", "torchvision", "vit_b_16", torchvision_vit, -1),
    "swin timm": ("upernet", "swin-t", "timm", "swin_tiny_patch4_window7_224", timm_swin, 2),
    "swin torchvision": (
        "upernet", "swin-t", "torchvision", "swin_t", lambda n, x: normalized(n.features[:6](x), 1e-5), 2
    ),
    "convnext timm": (
        "upernet", "convnext-t", "timm", "convnext_tiny",
        lambda n, x: normalized(n.stages(n.stem(x)).permute(0, 2, 3, 1), 1e-6), 3,
    ),
    "convnext torchvision": (
        "upernet", "convnext-t", "torchvision", "convnext_tiny",
        lambda n, x: normalized(n.features(x).permute(0, 2, 3, 1), 1e-6), 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", representatives(CASES, ("resnet18 torchvision", "vit timm")))
def test_features(case, torchvision, timm, tmp_path):
    model, backbone, library, name, features, index = CASES[case]
    theirs = randomized(timm.create_model(name) if library == "timm" else torchvision.models.get_model(name))
    stride = {"output_stride": 32} if model == "fcn" else {}
    # An odd side, for MobileNetV3 pads even ones as TensorFlow does; transformers take one size.
    side = 225 if "mobilenet-v3" in backbone else 224
    image = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")  # which has its names in the alphabet's order
    ours = build_network(describe_network(model, backbone=backbone, **stride))
    report = load_pretrained(ours, tmp_path / "w.safetensors")
    assert report.missing == ()
    with torch.no_grad():
        found, expected = ours.backbone(image)[index], features(theirs, image)
    assert found.shape == expected.shape
    # Positions are resized to the crop's grid and back, which costs 1e-4.
    assert (found - expected).abs().max() <= 1e-3 * expected.abs().max()


def test_a_classifier_of_another_size_is_refused(torchvision, tmp_path):
    from erfscope.errors import TrainError

    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "w.pth")
    network = build_network(describe_network("fcn", backbone="resnet50"))
    with pytest.raises(TrainError, match="matches only"):
        load_pretrained(network, tmp_path / "w.pth")
