"""The formulas: how one image's gradient becomes its contribution to the map.

Every formula adds, per image, a non-negative (H, W) array made from the gradient of the unit with
respect to the normalized input, before the sum over images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

IMAGE_CHANNELS = 3


@dataclass(frozen=True)
class Formula:
    """One published definition of the effective receptive field.

    Attributes
    ----------
    source
        Where it is published, and what it does.
    relu_activation
        Clip the unit's values before they are summed over the classes (or channels).
    clip_channels
        Clip the gradient before it is summed over the image's channels, instead of after.
    mean_channels
        Average over the image's channels instead of summing.
    absolute
        Take the absolute value where the others clip.
    """

    source: str
    relu_activation: bool = False
    clip_channels: bool = False
    mean_channels: bool = False
    absolute: bool = False

    def gradient_sum(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the unclipped sum (or mean) over the image's channels: (N, C, H, W) → (N, H, W).

        C is 3, or 1 for a gradient that is already summed.
        """
        total = gradient.sum(1)
        return total / IMAGE_CHANNELS if self.mean_channels else total

    def contribution(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return each image's contribution from its gradient: (N, C, H, W) → (N, H, W) ≥ 0."""
        if self.clip_channels:
            return gradient.relu().sum(1)
        gradient_sum = self.gradient_sum(gradient)
        return gradient_sum.abs() if self.absolute else gradient_sum.relu()


FORMULAS: Mapping[str, Formula] = MappingProxyType(
    {
        "paper": Formula("arXiv 2307.14179, Eq. 1: ReLU of the channel sum"),
        "replknet": Formula(
            "RepLKNet's script: ReLU of the activation, ReLU of the gradient, channel sum",
            relu_activation=True,
            clip_channels=True,
        ),
        "openerf": Formula("OpenERF: ReLU of the channel mean", mean_channels=True),
        "luo2016": Formula("Luo et al. 2016, arXiv 1701.04128: |channel sum|", absolute=True),
    }
)
