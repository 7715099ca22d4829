"""The table of rules by operator, and what is done for an operator that isn't in it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from erfscope.graph.fold import channel_affine
from erfscope.graph.regions import Region, whole
from erfscope.graph.rules import convolution, mixing, pointwise, resampling, shapes
from erfscope.graph.rules.op_plan import AccessMaps, Operation, OpPlan, Rule
from erfscope.graph.steps.basic import Autograd

aten = torch.ops.aten

_POINTWISE = (
    aten.abs.default, aten.add.Scalar, aten.alias.default, aten.clamp.default, aten.clamp_min.default,
    aten.clone.default, aten.contiguous.default, aten.detach.default, aten.div.Scalar, aten.div.Tensor,
    aten.elu.default, aten.exp.default, aten.gelu.default, aten.hardsigmoid.default, aten.hardswish.default,
    aten.hardtanh.default, aten.leaky_relu.default, aten.log.default, aten.masked_fill.Scalar,
    aten.maximum.default, aten.minimum.default, aten.mish.default, aten.mul.Scalar, aten.mul.Tensor,
    aten.neg.default, aten.pow.Tensor_Scalar, aten.relu6.default, aten.rsqrt.default,
    aten.rsub.Scalar, aten.sigmoid.default, aten.silu.default, aten.softplus.default, aten.sqrt.default,
    aten.sub.Scalar, aten.sub.Tensor, aten.tanh.default, aten.to.dtype, aten.where.self,
)  # fmt: skip
_RESHAPE = (
    aten._unsafe_view.default, aten.flatten.using_ints, aten.reshape.default, aten.squeeze.default,
    aten.squeeze.dim, aten.squeeze.dims, aten.unflatten.int, aten.unsqueeze.default, aten.view.default,
)  # fmt: skip
_REDUCTION = (aten.amax.default, aten.mean.default, aten.mean.dim, aten.sum.default, aten.sum.dim_IntList)

RULES: Mapping[Any, Rule] = MappingProxyType(
    {
        **dict.fromkeys(_POINTWISE, pointwise.POINTWISE),
        **dict.fromkeys(_RESHAPE, shapes.RESHAPE),
        **dict.fromkeys(_REDUCTION, Rule(mixing.reduction)),
        aten.adaptive_avg_pool2d.default: resampling.ADAPTIVE_AVG_POOL2D,
        aten.add.Tensor: pointwise.ADD,
        aten.avg_pool2d.default: resampling.AVG_POOL2D,
        aten.bmm.default: Rule(mixing.matmul),
        aten.cat.default: shapes.CONCATENATE,
        aten.constant_pad_nd.default: shapes.PAD,
        aten.conv2d.default: convolution.CONV2D,
        aten.conv2d.padding: convolution.CONV2D,
        aten.conv_transpose2d.input: convolution.CONV_TRANSPOSE2D,
        aten.expand.default: shapes.EXPAND,
        aten.flip.default: shapes.FLIP,
        aten.group_norm.default: Rule(mixing.group_norm),
        aten.index_select.default: shapes.INDEX_SELECT,
        aten.instance_norm.default: Rule(mixing.instance_norm),
        aten.layer_norm.default: Rule(mixing.layer_norm),
        aten.linalg_vector_norm.default: Rule(mixing.unit_norm),
        aten.linear.default: Rule(mixing.linear),
        aten.matmul.default: Rule(mixing.matmul),
        aten.mT.default: Rule(shapes.swap_last),
        aten.max_pool2d.default: convolution.MAX_POOL2D,
        aten.pad.default: shapes.PAD,
        aten.permute.default: shapes.PERMUTE,
        aten.relu.default: pointwise.RELU,
        aten.roll.default: shapes.ROLL,
        aten.scaled_dot_product_attention.default: Rule(mixing.attention),
        aten.select.int: shapes.SELECT,
        aten.slice.Tensor: shapes.SLICE,
        aten.softmax.int: Rule(mixing.softmax),
        aten.stack.default: shapes.STACK,
        aten.t.default: Rule(shapes.swap_last),
        aten.transpose.int: shapes.TRANSPOSE,
        aten.upsample_bicubic2d.vec: resampling.UPSAMPLE_BICUBIC2D,
        aten.upsample_bilinear2d.vec: resampling.UPSAMPLE_BILINEAR2D,
        aten.upsample_nearest2d.vec: resampling.UPSAMPLE_NEAREST2D,
        channel_affine: pointwise.CHANNEL_AFFINE,
    }
)


def find_access_maps(operation: Operation) -> AccessMaps | None:
    """Return the access map of each tensor argument; None where no rule tells them."""
    rule = RULES.get(operation.node.target)
    access_maps = rule.access(operation) if rule else None
    if access_maps is None:
        return None
    unread = (tensor for tensor, access in zip(operation.tensors, access_maps, strict=True) if access is None)
    return access_maps if all(tensor in operation.constants for tensor in unread) else None


def plan_operation(operation: Operation, access_maps: AccessMaps | None, wanted: Region) -> OpPlan:
    """Plan how to compute the wanted region; without access maps the operator computes everything."""
    if access_maps is not None:
        return RULES[operation.node.target].plan(operation, access_maps, wanted)
    inputs = tuple(whole(operand.meta["val"].shape) for operand in operation.operands)

    def function(*operands: torch.Tensor) -> torch.Tensor:
        return operation.call(*operation.with_constants(operands))

    return OpPlan(inputs, whole(operation.shape), lambda: Autograd(function))
