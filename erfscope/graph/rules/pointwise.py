"""Rules of operators that read just the positions of each operand that they write."""

from erfscope.graph.access import AccessByAxis, AxisAccess, FixedAccess, FullAccess, IdentityAccess
from erfscope.graph.regions import Region
from erfscope.graph.rules.op_plan import AccessMaps, Operation, OpPlan, Rule, call_on_parts, operand_regions
from erfscope.graph.steps.basic import Add
from erfscope.graph.steps.relu import Relu


def broadcast_axes(shape: tuple[int, ...], out: tuple[int, ...]) -> tuple[AxisAccess, ...]:
    """Return how the axes of a tensor that is broadcast to the shape `out` are read: aligned at the right."""
    first = len(out) - len(shape)
    return tuple(
        IdentityAccess(first + i) if size == out[first + i] else FixedAccess(0)
        for i, size in enumerate(shape)
    )


def broadcast(operation: Operation) -> AccessMaps | None:
    """Any number of tensors of shapes that broadcast to the result's."""
    return tuple(AccessByAxis(broadcast_axes(shape, operation.shape), shape) for shape in operation.shapes)


def channel_affine(operation: Operation) -> AccessMaps | None:
    """`fold.channel_affine(x, scale, shift)`: all channels of the wanted positions."""
    shape = operation.shape
    axes = tuple(FullAccess(1, own=True) if i == 1 else IdentityAccess(i) for i in range(len(shape)))
    return AccessByAxis(axes, shape), None, None


def _plan_relu(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    return OpPlan((wanted,), wanted, Relu)


def _plan_add(operation: Operation, access_maps: AccessMaps, wanted: Region) -> OpPlan:
    """Take the step that is written out for two different operands of the result's shape."""
    same = [shape == operation.shape for shape in operation.shapes]
    plain = same == [True, True] and not operation.node.kwargs and len(set(operation.operands)) == 2
    if not plain:
        return call_on_parts(operation, access_maps, wanted)
    return OpPlan(operand_regions(operation, [wanted, wanted]), wanted, Add)


POINTWISE = Rule(broadcast)
RELU = Rule(broadcast, _plan_relu)
ADD = Rule(broadcast, _plan_add)
CHANNEL_AFFINE = Rule(channel_affine)
