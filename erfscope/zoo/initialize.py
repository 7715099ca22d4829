"""Seeded random weights: the usual schemes, but with what keeps an untrained network's field visible.

mmsegmentation starts the last norm of every residual block at zero, which turns an untrained ResNet
into nearly its stem and shrinks the blobs of its effective receptive field to a few pixels. Here all
norms start at one, as in torchvision, and so do layer scales. Fans are counted within a convolution's
group: counted over all channels, a depthwise convolution would mute what goes through it, which in
training its batch norm mends, and in an untrained network nothing.
"""

import math
from collections.abc import Collection

import torch
from torch import nn

CLASSIFIER_STD = 0.01
LINEAR_STD = 0.02  # of transformers, truncated at two

_NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


@torch.no_grad()
def initialize(network: nn.Module, classifier_weights: Collection[str], seed: int) -> None:
    """Fill every parameter and buffer of `network` in place, from `seed` alone.

    Convolutions are Kaiming normal (ReLU; fan out, or what a module around them says by its
    `kaiming_mode`), linear layers truncated normal; a module that owns
    parameters besides brings its own `initialize(generator)`, one that owns tables its `fill_buffers()`.

    Parameters
    ----------
    network
        Any other module with parameters is an error, since it would be left as it came.
    classifier_weights
        Names of the classifiers' weights, drawn with a standard deviation of 0.01.
    """
    generator = torch.Generator().manual_seed(seed)
    fan_in = tuple(f"{n}." for n, m in network.named_modules() if getattr(m, "kaiming_mode", "") == "fan_in")
    for name, module in network.named_modules():
        if hasattr(module, "fill_buffers"):
            module.fill_buffers()
        if f"{name}.weight" in classifier_weights:
            _fill(module, CLASSIFIER_STD, generator)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            _fill(module, math.sqrt(2 / _fan(module, forward=name.startswith(fan_in))), generator)
        elif isinstance(module, nn.Linear):
            nn.init.trunc_normal_(
                module.weight, std=LINEAR_STD, a=-2 * LINEAR_STD, b=2 * LINEAR_STD, generator=generator
            )
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, _NORMS):
            module.reset_parameters()
        elif hasattr(module, "initialize"):
            module.initialize(generator)
        elif any(True for _ in module.parameters(recurse=False)):
            raise TypeError(f"no rule to initialise {type(module).__name__} at {name}")


def _fill(module: nn.Module, std: float, generator: torch.Generator) -> None:
    nn.init.normal_(module.weight, std=std, generator=generator)  # type: ignore[arg-type]
    if module.bias is not None:
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def _fan(module: nn.Conv2d | nn.ConvTranspose2d, *, forward: bool) -> float:
    """Terms of the sums that carry the variance on, forward or (fan out) backward through a convolution.

    Where windows don't overlap (patches of a transformer, transposed convolutions) there is one term of
    each channel of a window backward, and the sums that count are those of the forward pass.
    """
    area = math.prod(module.kernel_size)
    if isinstance(module, nn.ConvTranspose2d):
        return module.in_channels // module.groups * area / math.prod(module.stride)
    if forward or (module.kernel_size == module.stride and area > 1):
        return module.in_channels // module.groups * area
    return module.out_channels // module.groups * area
