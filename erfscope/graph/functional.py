"""Makes an exported graph functional: no node changes a tensor in place, and there is no dropout.

Torch can do that itself (`run_decompositions`), in seconds; the few in-place calls that networks really
make are replaced here in milliseconds, where that is plainly safe.
"""

import operator
from typing import cast

import torch
from torch.fx import Graph, Node

aten = torch.ops.aten

# Operators whose result is new memory, so that a change of it in place changes nothing else.
_FRESH = {
    aten.add.Tensor, aten.batch_norm.default, aten.cat.default, aten.clamp.default, aten.conv2d.default,
    aten.conv_transpose2d.input, aten.div.Tensor, aten.elu.default, aten.gelu.default,
    aten.group_norm.default, aten.hardsigmoid.default, aten.hardswish.default, aten.hardtanh.default,
    aten.layer_norm.default, aten.leaky_relu.default, aten.linear.default, aten.masked_fill.Scalar,
    aten.mish.default, aten.mul.Tensor, aten.relu.default, aten.relu6.default, aten.sigmoid.default,
    aten.silu.default, aten.sub.Tensor, aten.tanh.default, aten.upsample_bilinear2d.vec,
}  # fmt: skip
_PARTS = {
    aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default, aten.tensor_split.sections,
    aten.unbind.int,
}  # fmt: skip
_DROPOUT = {
    aten.dropout.default, aten.dropout_.default, aten.feature_dropout.default, aten.feature_dropout_.default,
    aten.alpha_dropout.default, aten.alpha_dropout_.default,
}  # fmt: skip


def make_functional(graph: Graph) -> bool:
    """Replace in-place calls and drop dropout, in place; False if some call can't be replaced safely.

    It is safe where the changed tensor is new memory that nobody else reads.
    """
    for node in list(graph.nodes):
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        if node.target in _DROPOUT and not node.args[2]:
            node.replace_all_uses_with(cast("Node", node.args[0]))
            graph.erase_node(node)
        elif node.target._schema.is_mutable:
            functional = _functional(node.target)
            if functional is None or not _is_private(node):
                return False
            node.target = functional
    return True


def _functional(operator: torch._ops.OpOverload) -> torch._ops.OpOverload | None:
    """Return the operator of the same name without the underscore, which returns what this one writes."""
    name = operator._schema.name.removeprefix("aten::")
    packet = getattr(aten, name.removesuffix("_"), None) if name.endswith("_") else None
    return getattr(packet, operator._overloadname, None)


def _is_private(node: Node) -> bool:
    """Whether a call in place changes new memory that nobody else reads, and doesn't round its result."""
    changed, *others = node.all_input_nodes
    dtypes = {other.meta["val"].dtype for other in others} - {torch.bool}
    return changed.target in _FRESH and len(changed.users) == 1 and dtypes <= {changed.meta["val"].dtype}


def simplify(graph: Graph) -> None:
    """Rewrite the graph in place so that each node returns one tensor, computed from operands' values.

    Every part of a split tensor becomes a slice or a selection of its own; an operand that only lends its
    shape is replaced by the shape.
    """
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if node.target in _PARTS:
            _replace_parts(graph, node)
        elif node.target is aten.expand_as.default:
            node.target, node.args = aten.expand.default, (node.args[0], list(node.meta["val"].shape))


def _replace_parts(graph: Graph, node: Node) -> None:
    source, parts = cast("Node", node.args[0]), node.meta["val"]
    position = 1 if node.target is aten.unbind.int else 2
    axis = cast("int", node.args[position] if len(node.args) > position else node.kwargs.get("dim", 0))
    for user in list(node.users):
        if user.target is not operator.getitem:
            continue
        number = cast("int", user.args[1]) % len(parts)
        with graph.inserting_before(user):
            if node.target is aten.unbind.int:
                part = graph.call_function(aten.select.int, (source, axis, number))
            else:
                start = sum(earlier.shape[axis] for earlier in parts[:number])
                end = start + parts[number].shape[axis]
                part = graph.call_function(aten.slice.Tensor, (source, axis, start, end))
        part.meta.update(user.meta)
        user.replace_all_uses_with(part)
        graph.erase_node(user)
