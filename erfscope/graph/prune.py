"""From a captured graph to the program for one region of its output."""

from collections import Counter

import numpy as np
import torch
from torch.fx import Node

from erfscope.graph.flow import Flow
from erfscope.graph.program import Instruction, Program
from erfscope.graph.regions import Region, Selection, select, union, whole
from erfscope.graph.rules.op_plan import Piece
from erfscope.graph.rules.rule_table import find_piece
from erfscope.graph.steps.image import sum_channels


def prune(flow: Flow, wanted: Region, *, channel_sum: bool = False) -> Program:
    """Plan the computation of a region of the output and of nothing that it doesn't need.

    With `channel_sum` the gradient is summed over the image's channels.
    """
    demands: dict[Node, Region] = {flow.output: wanted}
    pieces: dict[Node, Piece] = {}
    for node, operation in reversed(flow.operations.items()):
        if node not in demands:
            continue
        pieces[node] = find_piece(operation, flow.readings[node], demands[node])
        for operand, region in zip(operation.operands, pieces[node].inputs, strict=True):
            demands[operand] = union(demands.get(operand), region)
    image_region, shape, device = demands[flow.image], flow.image.meta["val"].shape, flow.device
    held = {node: piece.result for node, piece in pieces.items()} | {flow.image: image_region}
    return Program(
        image=flow.image,
        output=flow.output,
        instructions=_instructions(flow, pieces, held, channel_sum=channel_sum),
        image_region=image_region,
        output_region=wanted,
        image_selection=select(whole(shape), image_region, device),
        image_return=_select_sum(whole(shape), image_region, device, channel_sum=channel_sum),
        output_selection=select(held[flow.output], wanted, device),
    )


def _instructions(
    flow: Flow, pieces: dict[Node, Piece], held: dict[Node, Region], *, channel_sum: bool
) -> tuple[Instruction, ...]:
    order = [(node, operation) for node, operation in flow.operations.items() if node in pieces]
    output, device = flow.output, flow.device
    last: dict[Node, Node] = {}
    for node, operation in order:
        last.update(dict.fromkeys(operation.operands, node))
    last.pop(output, None)
    readers = Counter(operand for _, operation in order for operand in operation.operands)
    instructions = []
    for node, operation in order:
        piece = pieces[node]
        step = piece.step()
        cuts = tuple(
            (operand, select(held[operand], region, device))
            for operand, region in zip(operation.operands, piece.inputs, strict=True)
        )
        first = operation.operands[0] if operation.operands else None
        if step.may_overwrite and first in pieces and readers[first] == 1 and first is not output:
            step.overwrite = _keeps_no_result(first) and cuts[0][1].is_all
        returns = tuple(selection for _, selection in cuts)
        if channel_sum and flow.image in operation.operands:
            step = sum_channels(step, [operand is flow.image for operand in operation.operands])
            returns = tuple(
                _select_sum(held[operand], region, device, channel_sum=operand is flow.image)
                for operand, region in zip(operation.operands, piece.inputs, strict=True)
            )
        free = tuple(value for value, reader in last.items() if reader is node)
        instructions.append(Instruction(node, step, cuts, returns, free, flow.readings[node] is not None))
    return tuple(instructions)


def _select_sum(held: Region, wanted: Region, device: torch.device, *, channel_sum: bool) -> Selection:
    """Plan where the gradient of a part of the image belongs, which may have one channel instead of all."""
    if channel_sum:
        held, wanted = ((region[0], np.arange(1), *region[2:]) for region in (held, wanted))
    return select(held, wanted, device)


def _keeps_no_result(node: Node) -> bool:
    """Whether the step that made the value doesn't need it again for its gradient."""
    return node.target in (torch.ops.aten.conv2d.default, torch.ops.aten.add.Tensor)
