"""How torch is set while a network is trained; all is as before afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from erfscope.system.environment import make_cublas_repeatable
from erfscope.train.distributed import World
from erfscope.train.recipes.recipe import Recipe


@contextmanager
def repeatable(recipe: Recipe, world: World) -> Iterator[None]:
    """Within the block random numbers are the run's own, and algorithms repeat bits if the recipe says so.

    On the CPU they always do, with the same number of threads. Otherwise cuDNN tries its algorithms and
    takes the fastest, for all crops have one size.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    devices = [world.device] if world.device.type == "cuda" else []
    try:
        if recipe.run.deterministic:
            make_cublas_repeatable()
            torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = not recipe.run.deterministic
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
