"""Folds batch norms: into the convolution before them where there is one, else to a scale and a shift."""

import operator
from typing import cast

import torch
from torch.fx import Node

from erfscope.graph.capture import Captured

_NORM = torch.ops.aten._native_batch_norm_legit_no_training.default
_CONVOLUTION = torch.ops.aten.conv2d.default


def channel_affine(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """(N, C, …) · scale (C,) + shift (C,), by channel."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return x * scale.view(shape) + shift.view(shape)


def fold_batch_norms(captured: Captured) -> int:
    """Fold every batch norm of the graph, in place, by data flow; returns how many went into convolutions.

    The products are formed in float64 and rounded once.
    """
    folded = 0
    for node in captured.calls:
        if node.target is not _NORM:
            continue
        scale, shift = _scale_and_shift(captured, node)
        source = cast("Node", node.args[0])
        with captured.graph.inserting_before(node):
            if _is_private_convolution(captured, source):
                replacement = _folded_convolution(captured, source, scale, shift)
                folded += 1
            else:
                operands = tuple(
                    _add_constant(captured, node, name, value.to(node.meta["val"][0].dtype))
                    for name, value in (("scale", scale), ("shift", shift))
                )
                replacement = captured.graph.call_function(channel_affine, (source, *operands))
        replacement.meta["val"] = node.meta["val"][0]
        for user in list(node.users):
            assert user.target is operator.getitem
            assert user.args[1] == 0, "in eval mode nobody reads a batch norm's statistics"
            user.replace_all_uses_with(replacement)
            if captured.output is user:
                captured.output = replacement
            captured.graph.erase_node(user)
        captured.graph.erase_node(node)
    captured.graph.eliminate_dead_code()
    return folded


def _scale_and_shift(captured: Captured, node: Node) -> tuple[torch.Tensor, torch.Tensor]:
    _, weight, bias, mean, variance, _, epsilon = node.args
    statistics = (
        captured.constants[cast("Node", mean)].double(),
        captured.constants[cast("Node", variance)].double(),
    )
    scale = (statistics[1] + cast("float", epsilon)).rsqrt()
    if weight is not None:
        scale = scale * captured.constants[cast("Node", weight)].double()
    shift = -statistics[0] * scale
    if bias is not None:
        shift = shift + captured.constants[cast("Node", bias)].double()
    return scale, shift


def _is_private_convolution(captured: Captured, source: Node) -> bool:
    return (
        source.target is _CONVOLUTION
        and len(source.users) == 1
        and source.args[1] in captured.constants
        and (len(source.args) < 3 or source.args[2] is None or source.args[2] in captured.constants)
    )


def _folded_convolution(captured: Captured, source: Node, scale: torch.Tensor, shift: torch.Tensor) -> Node:
    x, weight_node, bias_node, *rest = (*source.args, None) if len(source.args) == 2 else source.args
    weight = captured.constants[cast("Node", weight_node)]
    folded = (weight.double() * scale.view(-1, 1, 1, 1)).to(weight.dtype)
    if bias_node is not None:
        shift = shift + captured.constants[cast("Node", bias_node)].double() * scale
    operands = (
        _add_constant(captured, source, "weight", folded),
        _add_constant(captured, source, "bias", shift.to(weight.dtype)),
    )
    return captured.graph.call_function(_CONVOLUTION, (x, *operands, *rest))


def _add_constant(captured: Captured, owner: Node, name: str, value: torch.Tensor) -> Node:
    first = next(iter(captured.graph.nodes))
    with captured.graph.inserting_before(first):
        node = captured.graph.placeholder(f"{owner.name}_folded_{name}")
    node.meta["val"] = value
    captured.constants[node] = value
    return node
