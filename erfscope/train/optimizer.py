"""Which parameters move, and how."""

from typing import Any

import torch
from torch import nn

from erfscope.errors import TrainError
from erfscope.train.network.auxiliary import TrainedNetwork
from erfscope.train.recipes.recipe import NetworkRecipe, OptimizerRecipe
from erfscope.zoo.attention import DropPath

_BATCH_NORMS = nn.modules.batchnorm._BatchNorm


def freeze(model: TrainedNetwork, recipe: NetworkRecipe) -> None:
    """Take from the parameters that are to stay as they are their gradients."""
    if recipe.freeze_backbone:
        model.network.backbone.requires_grad_(False)
    if recipe.batch_norm == "frozen":
        for module in model.modules():
            if isinstance(module, _BATCH_NORMS):
                module.requires_grad_(False)


def freeze_unread(model: TrainedNetwork, size: tuple[int, int]) -> None:
    """Take gradients from the parameters that nothing reads, such as norms of maps that no head takes.

    Found by a pass of one image of (H, W). Processes that train together wait for every gradient.
    """
    example = next(model.parameters())
    image = torch.zeros(1, 3, *size, device=example.device, dtype=example.dtype)
    sum(output.sum() for output in model.eval()(image)).backward()
    for parameter in model.parameters():
        if parameter.grad is None:
            parameter.requires_grad_(False)
        parameter.grad = None


def set_training(model: TrainedNetwork, recipe: NetworkRecipe) -> None:
    """Put the model into training mode, but for what is frozen."""
    model.train()
    if recipe.freeze_backbone:
        model.network.backbone.eval()
    if recipe.batch_norm == "frozen":
        for module in model.modules():
            if isinstance(module, _BATCH_NORMS):
                module.eval()


def set_dropout(model: nn.Module, probability: float | None) -> None:
    """Give all dropout layers a probability; None leaves them. Zero stops stochastic depth, too."""
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
