"""Seeded random weights, the usual ones but for non-zero residual scales.

mmsegmentation starts the last norm of every residual block at zero, which turns an untrained ResNet
into nearly its stem and shrinks the blobs of its effective receptive field to a few pixels. Here all
norms start at one, as in torchvision.
"""

import torch
from torch import nn

CLASSIFIER_STD = 0.01


@torch.no_grad()
def initialize(network: nn.Module, classifier_weight: str, seed: int) -> None:
    """Fill every parameter and buffer of `network` in place, from `seed` alone.

    Parameters
    ----------
    network
        Made of convolutions and batch norms; any other module with parameters is an error, since it
        would be left as it came.
    classifier_weight
        Name of the classifier's weight, drawn with a standard deviation of 0.01; all other
        convolutions are Kaiming normal (fan out, ReLU).
    """
    generator = torch.Generator().manual_seed(seed)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            if f"{name}.weight" == classifier_weight:
                nn.init.normal_(module.weight, std=CLASSIFIER_STD, generator=generator)
            else:
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu", generator=generator
                )
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif any(True for _ in module.parameters(recurse=False)):
            raise TypeError(f"no rule to initialise {type(module).__name__} at {name}")
