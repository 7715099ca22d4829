"""Which parameters are trained, by which optimizer, at which learning rate."""

from typing import Any

import torch
from torch import nn

from erfscope.errors import TrainError
from erfscope.train.network.auxiliary import TrainedNetwork
from erfscope.train.recipes.recipe import NetworkRecipe, OptimizerRecipe, ScheduleRecipe
from erfscope.zoo.attention import DropPath

_BATCH_NORMS = nn.modules.batchnorm._BatchNorm


def freeze(model: TrainedNetwork, recipe: NetworkRecipe) -> None:
    """Exclude the parameters that the recipe freezes from training."""
    if recipe.freeze_backbone:
        model.network.backbone.requires_grad_(False)
    if recipe.batch_norm == "frozen":
        for module in model.modules():
            if isinstance(module, _BATCH_NORMS):
                module.requires_grad_(False)


def freeze_unread(model: TrainedNetwork, size: tuple[int, int]) -> None:
    """Exclude parameters that don't reach the logits, such as norms of maps that no head reads.

    They are found by a forward and a backward pass of one image of `size` (H, W), px. Processes that train
    together wait for the gradient of every trained parameter, which these would never get.
    """
    example = next(model.parameters())
    image = torch.zeros(1, 3, *size, device=example.device, dtype=example.dtype)
    sum(output.sum() for output in model.eval()(image)).backward()
    for parameter in model.parameters():
        if parameter.grad is None:
            parameter.requires_grad_(False)
        parameter.grad = None


def set_training(model: TrainedNetwork, recipe: NetworkRecipe) -> None:
    """Put the model into training mode, except for its frozen parts."""
    model.train()
    if recipe.freeze_backbone:
        model.network.backbone.eval()
    if recipe.batch_norm == "frozen":
        for module in model.modules():
            if isinstance(module, _BATCH_NORMS):
                module.eval()


def set_dropout(model: nn.Module, probability: float | None) -> None:
    """Set the probability of all dropout layers; None keeps it. Zero turns off stochastic depth, too."""
    for module in model.modules():
        drops = isinstance(module, nn.modules.dropout._DropoutNd)
        if probability is not None and drops and not (probability and isinstance(module, DropPath)):
            module.p = probability  # type: ignore[assignment]


def make_optimizer(model: TrainedNetwork, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Make the optimizer; each group's `base_lr` is what the schedule starts from."""
    groups = _groups(model, recipe)
    if recipe.name == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=True)
    kind = torch.optim.Adam if recipe.name == "adam" else torch.optim.AdamW
    return kind(groups, lr=recipe.lr, fused=True)


def _groups(model: TrainedNetwork, recipe: OptimizerRecipe) -> list[dict[str, Any]]:
    """Sort the parameters by learning rate and weight decay; norms' weights and biases have a single axis."""
    in_backbone = {id(parameter) for parameter in model.network.backbone.parameters()}
    by_rule: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            factor = 1.0 if id(parameter) in in_backbone else recipe.head_lr_factor
            decay = recipe.weight_decay if recipe.decay_norms or parameter.ndim > 1 else 0.0
            by_rule.setdefault((recipe.lr * factor, decay), []).append(parameter)
    if not by_rule:
        raise TrainError("all parameters are frozen; leave network.freeze_backbone or network.batch_norm out")
    return [
        {"params": parameters, "lr": lr, "base_lr": lr, "weight_decay": decay}
        for (lr, decay), parameters in by_rule.items()
    ]


def learning_rate(schedule: ScheduleRecipe, base_lr: float, iteration: int) -> float:
    """Return the learning rate of an iteration: a closed form, so that no schedule has to be saved.

    Parameters
    ----------
    schedule
        T = `iterations`, p = `power`, m = `min_lr`, W = `warmup`: "poly" is (base − m) (1 − t/T)^p + m. In
        the first W iterations the rate is multiplied by 1 − (1 − t/W) (1 − `warmup_ratio`). Both are
        mmsegmentation's.
    base_lr
        Learning rate that the schedule starts from.
    iteration
        t, counted from 0.
    """
    rate = base_lr
    if schedule.policy == "poly":
        floor = min(schedule.min_lr, base_lr)
        rate = (base_lr - floor) * (1 - iteration / schedule.iterations) ** schedule.power + floor
    elif schedule.policy == "step":
        rate = base_lr * schedule.step_factor ** sum(iteration >= step for step in schedule.steps)
    if iteration < schedule.warmup:
        rate *= 1 - (1 - iteration / schedule.warmup) * (1 - schedule.warmup_ratio)
    return rate
