"""Small studies: plans as files, and maps of a few pixels that are as far as they say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import tomli_w

from erfscope.batch.batch_plan import Plan, read_plan
from erfscope.batch.plan_options import ComputeOptions
from erfscope.cli.compute_command import compute_command
from erfscope.cli.parameters import network_option_names
from erfscope.records.shard import WHOLE, Shard
from erfscope.store.exchange import map_from_array
from erfscope.store.write import write_map

SLOW = """\
import time
from torch import nn


class Slow(nn.Sequential):
    def forward(self, x):
        time.sleep(self.seconds)
        return super().forward(x)


def network(seconds):
    net = Slow(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    net.seconds = float(seconds)
    return net
"""
VALUES = {
    "out": "study",
    "sizes": [33],
    "measure": ["star-distance", "pattern"],
    "networks": [{"model": "fcn", "backbone": "resnet18", "num_classes": 3}],
    "datasets": [{"data": "synthetic-leaves", "images": 4}],
}
NAME = "fcn-resnet18_synthetic-leaves_33"


def write_plan(folder: Path, **changes) -> Path:
    """Write the plan of one small network, some keys changed; None leaves one out."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {key: value for key, value in (VALUES | changes).items() if value is not None}
    path = folder / "plan.toml"
    path.write_bytes(tomli_w.dumps(values).encode())
    return path


def read(path: Path) -> Plan:
    """Read a plan as the command does."""
    return read_plan(path, ComputeOptions(compute_command.params, network_option_names()))


def plan(folder: Path, **changes) -> Plan:
    return read(write_plan(folder, **changes))


def slow_network(folder: Path, seconds: float) -> dict:
    """Write code beside a plan, and return the plan's entry: so slow that a signal comes before its end.

    By the dense engine only: a graph would be computed without its Python.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slow.py").write_text(SLOW)
    return {"model": "slow:network", "name": "slow", "option": {"seconds": str(seconds)}}


def make_map(path: Path, done: int = 4, listed: int | None = 4, shard: Shard = WHOLE, finished: bool = True):
    """Write a map of five by five pixels with so many of its images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    empty = map_from_array(np.ones((5, 5)))
    erf = replace(empty, images=done, images_total=listed, shard=shard, finished=finished)
    write_map(erf, path, overwrite=True)
