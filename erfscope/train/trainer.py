"""One step of the optimizer."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from erfscope.train.crops.crop_order import step_seed
from erfscope.train.distributed import World, without_sync
from erfscope.train.losses import Loss
from erfscope.train.network.auxiliary import total_loss
from erfscope.train.optimizer import set_training
from erfscope.train.recipes.recipe import Recipe
from erfscope.train.schedule import learning_rate
from erfscope.train.train_state import Parts

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Stepper:
    """Takes steps.

    Attributes
    ----------
    wrapped
        The model as several processes train it; alone, the model itself.
    """

    recipe: Recipe
    parts: Parts
    wrapped: nn.Module
    loss: Loss
    world: World

    def step(self, batches: Batches) -> torch.Tensor:
        """Take one step on the next `run.accumulate` batches; return this process's mean loss, a scalar."""
        recipe, parts = self.recipe, self.parts
        for group in parts.optimizer.param_groups:
            group["lr"] = learning_rate(recipe.schedule, group["base_lr"], parts.progress.iteration)
        torch.manual_seed(step_seed(recipe.run.seed, parts.progress.iteration, self.world.rank))
        set_training(parts.model, recipe.network)
        passes, total = recipe.run.accumulate, torch.zeros((), device=self.world.device)
        for number in range(passes):
            images, labels = next(batches)
            with nullcontext() if number == passes - 1 else without_sync(self.wrapped):
                loss = self.loss_of(self.wrapped, images, labels) / passes
                loss.backward()  # type: ignore[no-untyped-call]
            total = total + loss.detach()
        if recipe.optimizer.clip_norm is not None:
            nn.utils.clip_grad_norm_(parts.model.parameters(), recipe.optimizer.clip_norm)
        parts.optimizer.step()
        parts.optimizer.zero_grad(set_to_none=True)
        if parts.average is not None:
            parts.average.follow(parts.model.network)
        return total

    def loss_of(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch, (N, 3, H, W) and (N, H, W)."""
        with self._mixed():
            outputs = model(images)
        loss: torch.Tensor = total_loss(
            outputs,
            labels,
            self.loss,
            auxiliary_weight=self.recipe.network.auxiliary_weight,
            align_corners=self.parts.model.network.align_corners,
        )
        return loss

    def _mixed(self) -> AbstractContextManager[Any]:
        if self.recipe.run.precision != "bfloat16":
            return nullcontext()
        return torch.autocast(self.world.device.type, torch.bfloat16)
