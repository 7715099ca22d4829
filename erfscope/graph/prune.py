"""Prunes a captured graph to the program for one region of its output."""

from collections import Counter

import numpy as np
import torch
from torch.fx import Node

from erfscope.graph.access_graph import AccessGraph
from erfscope.graph.program import Program, ProgramStep
from erfscope.graph.regions import Region, Selection, select, union, whole
from erfscope.graph.rules.op_plan import OpPlan
from erfscope.graph.rules.rule_table import plan_operation
from erfscope.graph.steps.image import sum_channels


def prune(graph: AccessGraph, wanted: Region, *, channel_sum: bool = False) -> Program:
    """Return the program that computes a region of the output and nothing that it doesn't need.

    Parameters
    ----------
    wanted
        The region, one index set for each axis of the output.
    channel_sum
        Whether the gradient is summed over the image's channels.
    """
    demands: dict[Node, Region] = {graph.output: wanted}
    op_plans: dict[Node, OpPlan] = {}
    for node, operation in reversed(graph.operations.items()):
        if node not in demands:
            continue
        op_plans[node] = plan_operation(operation, graph.access_maps[node], demands[node])
        for operand, region in zip(operation.operands, op_plans[node].inputs, strict=True):
            demands[operand] = union(demands.get(operand), region)
    image_region, shape, device = demands[graph.image], graph.image.meta["val"].shape, graph.device
    held = {node: op_plan.result for node, op_plan in op_plans.items()} | {graph.image: image_region}
    return Program(
        image=graph.image,
        output=graph.output,
        steps=_program_steps(graph, op_plans, held, channel_sum=channel_sum),
        image_region=image_region,
        output_region=wanted,
        image_selection=select(whole(shape), image_region, device),
        image_return=_select_sum(whole(shape), image_region, device, channel_sum=channel_sum),
        output_selection=select(held[graph.output], wanted, device),
    )


def _program_steps(
    graph: AccessGraph, op_plans: dict[Node, OpPlan], held: dict[Node, Region], *, channel_sum: bool
) -> tuple[ProgramStep, ...]:
    order = [(node, operation) for node, operation in graph.operations.items() if node in op_plans]
    output, device = graph.output, graph.device
    last: dict[Node, Node] = {}
    for node, operation in order:
        last.update(dict.fromkeys(operation.operands, node))
    last.pop(output, None)
    readers = Counter(operand for _, operation in order for operand in operation.operands)
    steps = []
    for node, operation in order:
        op_plan = op_plans[node]
        step = op_plan.step()
        cuts = tuple(
            (operand, select(held[operand], region, device))
            for operand, region in zip(operation.operands, op_plan.inputs, strict=True)
        )
        first = operation.operands[0] if operation.operands else None
        if step.may_overwrite and first in op_plans and readers[first] == 1 and first is not output:
            step.overwrite = _keeps_no_result(first) and cuts[0][1].is_all
        returns = tuple(selection for _, selection in cuts)
        if channel_sum and graph.image in operation.operands:
            step = sum_channels(step, [operand is graph.image for operand in operation.operands])
            returns = tuple(
                _select_sum(held[operand], region, device, channel_sum=operand is graph.image)
                for operand, region in zip(operation.operands, op_plan.inputs, strict=True)
            )
        free = tuple(value for value, reader in last.items() if reader is node)
        steps.append(ProgramStep(node, step, cuts, returns, free, graph.access_maps[node] is not None))
    return tuple(steps)


def _select_sum(held: Region, wanted: Region, device: torch.device, *, channel_sum: bool) -> Selection:
    """Select where the gradient of a part of the image is added; it may have one channel instead of all."""
    if channel_sum:
        held, wanted = ((region[0], np.arange(1), *region[2:]) for region in (held, wanted))
    return select(held, wanted, device)


def _keeps_no_result(node: Node) -> bool:
    """Return whether the backward pass of the step that made the value works without the value."""
    return node.target in (torch.ops.aten.conv2d.default, torch.ops.aten.add.Tensor)
