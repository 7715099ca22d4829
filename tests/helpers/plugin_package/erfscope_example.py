"""A package that brings one format, one network and one dataset to erfscope.

Its entry points, as a pyproject.toml has them, are in `entry_points.txt` beside this file:

    [project.entry-points."erfscope.checkpoints"]
    numbers = "erfscope_example:NumbersFile"
"""

import json

import torch
from torch import nn

from erfscope.datasets import Sample


class Blur(nn.Module):
    """A strided convolution: the smallest of all segmentation networks."""

    def __init__(self, channels=4):
        super().__init__()
        self.convolution = nn.Conv2d(3, channels, 5, stride=2, padding=2)

    def forward(self, image):
        return self.convolution(image).relu()


def blur(channels=4):
    """The network `example-blur`: it says how its images are to be normalized."""
    preprocessing = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "size": 48}
    return Blur(channels), preprocessing


class NumbersFile:
    """The format of `.numbers` files: one list of weights a name, as JSON."""

    @staticmethod
    def recognizes(request):
        return "its suffix .numbers" if request.path.suffix == ".numbers" else None

    @staticmethod
    def read(request):
        lists = json.loads(request.path.read_text())
        network = Blur(len(lists["convolution.bias"]))
        network.load_state_dict({name: torch.tensor(values) for name, values in lists.items()})
        return network


class Ramps:
    """The dataset `example-ramps`: images that grow brighter from left to right."""

    classes = ("dark", "bright")

    def __init__(self, size=None, images=None, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)):
        self.size, self.count = size or (32, 40), images or 5
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (mean, std))

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        ramp = torch.linspace(0, (index + 1) / self.count, self.size[1]).expand(3, *self.size)
        return Sample((ramp - self.mean) / self.std, None, f"ramp-{index}")
