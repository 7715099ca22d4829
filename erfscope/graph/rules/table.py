"""The table itself, and what happens to an operator that isn't in it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from erfscope.graph.fold import channel_affine
from erfscope.graph.regions import Region, whole
from erfscope.graph.rules import convolution, mixing, pointwise, resampling
from erfscope.graph.rules.piece import Operation, Piece, Rule
from erfscope.graph.steps import Autograd

aten = torch.ops.aten

_UNARY = (
    aten.clone.default, aten.contiguous.default, aten.detach.default, aten.gelu.default,
    aten.hardsigmoid.default,
    aten.hardswish.default, aten.hardtanh.default, aten.leaky_relu.default, aten.neg.default,
    aten.relu6.default, aten.sigmoid.default, aten.silu.default, aten.tanh.default,
)  # fmt: skip
_BROADCAST = (
    aten.div.Scalar, aten.div.Tensor, aten.mul.Scalar, aten.mul.Tensor, aten.sub.Scalar, aten.sub.Tensor,
    aten.add.Scalar,
)  # fmt: skip

RULES: Mapping[Any, Rule] = MappingProxyType(
    {
        **dict.fromkeys(_UNARY, pointwise.unary),
        **dict.fromkeys(_BROADCAST, pointwise.broadcast),
        aten.relu.default: pointwise.relu,
        aten.add.Tensor: pointwise.add,
        channel_affine: pointwise.channel_affine,
        aten.cat.default: pointwise.concatenate,
        aten.linear.default: mixing.linear,
        aten.layer_norm.default: mixing.layer_norm,
        aten.group_norm.default: mixing.group_norm,
        aten.softmax.int: mixing.softmax,
        aten.permute.default: mixing.permute,
        aten.transpose.int: mixing.transpose,
        aten.conv2d.default: convolution.conv2d,
        aten.conv2d.padding: convolution.conv2d,
        aten.max_pool2d.default: convolution.max_pool2d,
        aten.adaptive_avg_pool2d.default: resampling.adaptive_avg_pool2d,
        aten.avg_pool2d.default: resampling.avg_pool2d,
        aten.upsample_bilinear2d.vec: resampling.upsample_bilinear2d,
        aten.upsample_nearest2d.vec: resampling.upsample_nearest2d,
    }
)


def find_piece(operation: Operation, wanted: Region) -> tuple[Piece, bool]:
    """Return how to compute the wanted region, and whether a rule said so.

    Without a rule, or where the rule doesn't cover the case, the operator runs on everything.
    """
    rule = RULES.get(operation.node.target)
    piece = rule(operation, wanted) if rule else None
    if piece is not None:
        return piece, True
    inputs = tuple(whole(shape) for shape in operation.operand_shapes)
    return Piece(inputs, whole(operation.shape), lambda: Autograd(operation.call)), False
