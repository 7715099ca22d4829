"""Folds batch norms into the convolution before them where there is one, else into a scale and a shift."""

from typing import TYPE_CHECKING, Any, cast

import torch
from torch.fx import Node

from erfscope.graph.capture import Captured

if TYPE_CHECKING:
    from collections.abc import Callable

# In an exported graph, and in one that torch made functional, where it returns its statistics as well.
_NORM = torch.ops.aten.batch_norm.default
_NORM_WITH_STATISTICS = torch.ops.aten._native_batch_norm_legit_no_training.default
_CONVOLUTION = torch.ops.aten.conv2d.default
_TRANSPOSED = torch.ops.aten.conv_transpose2d.input


def channel_affine(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Return x (N, C, …) · scale (C,) + shift (C,), channel by channel."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return x * scale.view(shape) + shift.view(shape)


def fold_batch_norms(captured: Captured) -> int:
    """Fold every batch norm of the graph, in place; return how many went into convolutions.

    The products are formed in float64 and rounded once.
    """
    folded = 0
    for node in captured.calls:
        if node.target not in (_NORM, _NORM_WITH_STATISTICS):
            continue
        result = node if node.target is _NORM else _only_result(node)
        if result is None or not _is_frozen(captured, node):
            continue
        scale, shift = _scale_and_shift(captured, node)
        source = cast("Node", node.args[0])
        with captured.graph.inserting_before(node):
            if folds := _is_private_convolution(captured, source):
                replacement = _folded_convolution(captured, source, scale, shift)
                folded += 1
            else:
                operands = tuple(
                    _add_constant(captured, node, name, value.to(result.meta["val"].dtype))
                    for name, value in (("scale", scale), ("shift", shift))
                )
                replacement = captured.graph.call_function(channel_affine, (source, *operands))
        # The result's shape, and the module that it came from.
        replacement.meta.update((source if folds else node).meta, val=result.meta["val"])
        result.replace_all_uses_with(replacement)
        if captured.output is result:
            captured.output = replacement
    captured.graph.eliminate_dead_code()
    return folded


def _only_result(node: Node) -> Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].args[1] == 0 else None


def _is_frozen(captured: Captured, node: Node) -> bool:
    """Whether the norm is in eval mode and all of its numbers are constants."""
    training = node.target is _NORM and node.args[5]
    return not training and all(n is None or n in captured.constants for n in node.args[1:5])


def _scale_and_shift(captured: Captured, node: Node) -> tuple[torch.Tensor, torch.Tensor]:
    _, weight, bias, mean, variance = node.args[:5]
    epsilon = node.args[7] if node.target is _NORM else node.args[6]
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
    if source.target is _TRANSPOSED and len(source.args) > 6 and source.args[6] != 1:
        return False  # groups: its weights don't go by output channel
    return (
        source.target in (_CONVOLUTION, _TRANSPOSED)
        and len(source.users) == 1
        and source.args[1] in captured.constants
        and (len(source.args) < 3 or source.args[2] is None or source.args[2] in captured.constants)
    )


def _folded_convolution(captured: Captured, source: Node, scale: torch.Tensor, shift: torch.Tensor) -> Node:
    x, weight_node, bias_node, *rest = (*source.args, None) if len(source.args) == 2 else source.args
    weight = captured.constants[cast("Node", weight_node)]
    by_output = (-1, 1, 1, 1) if source.target is _CONVOLUTION else (1, -1, 1, 1)
    # In the layout that the kernels want, so that there are no two copies.
    folded = (weight.double() * scale.view(by_output)).to(weight.dtype, memory_format=torch.channels_last)
    if bias_node is not None:
        shift = shift + captured.constants[cast("Node", bias_node)].double() * scale
    operands = (
        _add_constant(captured, source, "weight", folded),
        _add_constant(captured, source, "bias", shift.to(weight.dtype)),
    )
    return captured.graph.call_function(cast("Callable[..., Any]", source.target), (x, *operands, *rest))


def _add_constant(captured: Captured, owner: Node, name: str, value: torch.Tensor) -> Node:
    first = next(iter(captured.graph.nodes))
    with captured.graph.inserting_before(first):
        node = captured.graph.placeholder(f"{owner.name}_folded_{name}")
    node.meta["val"] = value.to("meta")  # its shape alone: the value must not live as long as the graph
    captured.constants[node] = value
    return node
