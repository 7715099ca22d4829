"""How fast our loop trains against a plain one around the same network.

    python benchmarks/training_speed.py

Both see the same images through the same augmentation and take steps by turns, so that whatever else the
machine does hits both alike. The plain loop is what one writes first: torch's `DataLoader` with its own
collation, the network as it is built, `F.cross_entropy` of the logits, SGD.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from erfscope.system.memory import kept_memory
from erfscope.system.process_group import ProcessGroup
from erfscope.system.signals import Stop
from erfscope.system.threads import limited_threads
from erfscope.train.crops.augment import Cutter
from erfscope.train.crops.crop_batches import Crops
from erfscope.train.crops.crop_order import CropOrder
from erfscope.train.recipes.load_recipe import load_recipe
from erfscope.train.recipes.recipe import Recipe
from erfscope.train.trainer import Trainer
from erfscope.train.training_setup import TrainingSetup, make_batches, open_setup

CHANGES = {"validation": {"every": 0}}


class PlainImages(Dataset):
    """The same crops, one after the other, normalized in the loader."""

    def __init__(self, setup: TrainingSetup, length: int) -> None:
        recipe = setup.recipe
        order = CropOrder(setup.training.chosen, recipe.run.seed)
        cutter = Cutter(recipe.augment, recipe.data.size, (124, 116, 104))
        self.crops, self.length, self.dataset = (
            Crops(setup.training, order, cutter, 255, 10**9),
            length,
            setup.training,
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        sample = self.dataset.to_sample(0, *self.crops[index])
        return sample.image, sample.label


def plain_steps(setup: TrainingSetup, device: torch.device, workers: int) -> Iterator[None]:
    recipe = setup.recipe
    network = setup.network.to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    images = PlainImages(setup, recipe.run.batch_size * recipe.schedule.iterations)
    for image, label in DataLoader(images, batch_size=recipe.run.batch_size, num_workers=workers):
        logits = network(image.to(device))
        loss = F.cross_entropy(logits, label.to(device), ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        yield


def our_steps(setup: TrainingSetup, processes: ProcessGroup, workers: int) -> Iterator[None]:
    trainer = Trainer(setup, processes, Path("unused"), Stop())
    batches = make_batches(setup, processes, workers)
    for _ in range(setup.recipe.schedule.iterations):
        trainer.step(batches).item()
        trainer.state.iteration += 1
        yield


def ratio(recipe: Recipe, device: str, block: int, say: Callable[[str], None] = print) -> float:
    """Return our speed by the plain loop's: the median over blocks of steps, which both take by turns."""
    processes = ProcessGroup(torch.device(device))
    workers, threads = processes.share_cores(recipe.run.workers)
    ours = our_steps(open_setup(recipe), processes, workers)
    plain = plain_steps(open_setup(recipe), processes.device, workers)
    images, seconds = recipe.run.batch_size * block, {"ours": [], "plain": []}
    with limited_threads(threads):
        for turn in range(recipe.schedule.iterations // block):
            for name, steps, memory in (("plain", plain, nullcontext), ("ours", ours, kept_memory)):
                began = time.perf_counter()
                with memory():
                    for _ in range(block):
                        next(steps)
                seconds[name].append(time.perf_counter() - began)
            if turn:  # the first is warm-up
                speeds = ", ".join(f"{name} {images / each[-1]:.2f}" for name, each in seconds.items())
                say(f"{turn}: {speeds} images/s")
    return statistics.median(p / o for p, o in zip(seconds["plain"][1:], seconds["ours"][1:], strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", nargs="?", default="synthetic-leaves")
    parser.add_argument("--size", type=int)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--block", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    changes = {**CHANGES, "schedule": {"iterations": arguments.steps}}
    if arguments.size:
        changes["data"] = {"size": arguments.size, "scene_scale": 1}
    found = ratio(load_recipe(arguments.recipe, changes), arguments.device, arguments.block)
    print(f"ours by plain: {found:.2f}")
