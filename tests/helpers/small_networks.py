"""Small networks, and what is put into them. A module of its own: pickles name it."""

from dataclasses import replace

import torch
from torch import nn

from erfscope.zoo.backbones.convnext import ConvNeXtBlock
from erfscope.zoo.backbones.inverted_residual import InvertedResidual
from erfscope.zoo.backbones.resnet import Bottleneck
from erfscope.zoo.backbones.swin import SwinBlock
from erfscope.zoo.backbones.xception import XceptionUnit
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network
from erfscope.zoo.description import NetworkDescription


class SmallNet(nn.Module):
    """Strided, normalized, with a skip and bilinear logits: small, but with everything that can go wrong."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU(inplace=True)
        self.body = nn.Conv2d(6, 6, 3, padding=2, dilation=2)
        self.drop = nn.Dropout(0.5)
        self.classify = nn.Conv2d(6, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(self.norm(self.stem(x)))
        y = y + self.act(self.body(y))
        logits = self.classify(self.drop(y))
        return nn.functional.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)


def seeded(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network seeded weights and running statistics that are not the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.5, generator=generator)
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0, generator=generator)
            elif name.endswith("running_mean"):
                buffer.normal_(std=0.3, generator=generator)
    return network


#: The smallest backbone of the networks that don't stand on ResNet-18.
SMALL_BACKBONES = {
    "dpt": "vit-t16",
    "lraspp": "mobilenet-v3-small",
    "segformer": "mit-b0",
    "segmenter-linear": "vit-t16",
    "segmenter-mask": "vit-t16",
    "setr-aspp": "vit-t16",
    "setr-mla": "vit-t16",
    "setr-naive": "vit-t16",
    "setr-pup": "vit-t16",
    "unet": "unet-s5-d16",
    "unet-aspp": "unet-s5-d16",
    "unet-fcn": "unet-s5-d16",
    "unet-psp": "unet-s5-d16",
}


def small(name: str) -> str:
    """Return the smallest backbone on which a catalog network stands."""
    return SMALL_BACKBONES.get(name, "resnet18")


BLOCKS = (Bottleneck, InvertedResidual, XceptionUnit, ConvNeXtBlock, SwinBlock)


def shallow(described: NetworkDescription) -> nn.Module:
    """Build a network with two blocks in each stage of its backbone, or four encoder layers.

    From the third on, blocks repeat the second: the same operations, strides and atrous rates once more.
    """
    if described.backbone["type"] == "VisionTransformer":  # heads read up to four of its layers
        kept = {"num_layers": 4}
        if "out_indices" in described.backbone:
            kept["out_indices"] = (0, 1, 2, 3)
        return build_network(replace(described, backbone={**described.backbone, **kept}))
    net = build_network(described)
    for stage in net.backbone.modules():
        if isinstance(stage, nn.Sequential) and all(isinstance(block, BLOCKS) for block in stage):
            for number, _ in list(stage.named_children())[2:]:
                delattr(stage, number)
    return net


def network(name: str, **options: object) -> nn.Module:
    """Return a small catalog network in float64, with batch norms that are not the identity."""
    described = describe_network(name, **{"backbone": small(name), "num_classes": 3, **options})
    net = shallow(described).double()
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # norms that are not the identity, or folding is not tested
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                tensor.uniform_(low, high, generator=generator)
    return net


def noise_images(count: int, size: tuple[int, int], seed: int = 0) -> list[torch.Tensor]:
    """`count` standard normal images (3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, *size, generator=generator) for _ in range(count)]
