"""From a captured graph to the program for one region of its output."""

from collections import Counter

import numpy as np
import torch
from torch.fx import Node

from erfscope.graph.capture import Captured
from erfscope.graph.flow import evaluate_constants
from erfscope.graph.program import Instruction, Program
from erfscope.graph.regions import Region, Selection, select, union, whole
from erfscope.graph.rules.piece import Operation, Piece
from erfscope.graph.rules.table import find_piece
from erfscope.graph.steps.image import sum_channels


def prune(captured: Captured, wanted: Region, *, channel_sum: bool = False) -> Program:
    """Plan the computation of a region of the output and of nothing that it doesn't need.

    With `channel_sum` the gradient is summed over the image's channels.
    """
    constants = evaluate_constants(captured)
    device = captured.image.meta["val"].device
    demands: dict[Node, Region] = {captured.output: wanted}
    pieces: dict[Node, tuple[Operation, Piece]] = {}
    unruled: set[Node] = set()
    for node in reversed(captured.calls):
        if node not in demands:
            continue
        operation = Operation.of(node, constants, device)
        piece, ruled = find_piece(operation, demands[node])
        pieces[node] = operation, piece
        if not ruled:
            unruled.add(node)
        for operand, region in zip(operation.operands, piece.inputs, strict=True):
            demands[operand] = union(demands.get(operand), region)
    image_region, shape = demands[captured.image], captured.image.meta["val"].shape
    held = {node: piece.result for node, (_, piece) in pieces.items()} | {captured.image: image_region}
    order = [node for node in captured.calls if node in pieces]
    return Program(
        image=captured.image,
        output=captured.output,
        instructions=_instructions(order, pieces, held, captured, unruled, channel_sum=channel_sum),
        image_region=image_region,
        output_region=wanted,
        image_selection=select(whole(shape), image_region, device),
        image_return=_select_sum(whole(shape), image_region, device, channel_sum=channel_sum),
        output_selection=select(held[captured.output], wanted, device),
    )


def _instructions(
    order: list[Node],
    pieces: dict[Node, tuple[Operation, Piece]],
    held: dict[Node, Region],
    captured: Captured,
    unruled: set[Node],
    *,
    channel_sum: bool,
) -> tuple[Instruction, ...]:
    output, device = captured.output, captured.image.meta["val"].device
    last: dict[Node, Node] = {}
    for node in order:
        last.update(dict.fromkeys(pieces[node][0].operands, node))
    last.pop(output, None)
    readers = Counter(operand for node in order for operand in pieces[node][0].operands)
    instructions = []
    for node in order:
        operation, piece = pieces[node]
        step = piece.step()
        cuts = tuple(
            (operand, select(held[operand], region, device))
            for operand, region in zip(operation.operands, piece.inputs, strict=True)
        )
        first = operation.operands[0] if operation.operands else None
        if step.may_overwrite and first in pieces and readers[first] == 1 and first is not output:
            step.overwrite = _keeps_no_result(first) and cuts[0][1].is_all
        returns = tuple(selection for _, selection in cuts)
        if channel_sum and captured.image in operation.operands:
            step = sum_channels(step, [operand is captured.image for operand in operation.operands])
            returns = tuple(
                _select_sum(held[operand], region, device, channel_sum=operand is captured.image)
                for operand, region in zip(operation.operands, piece.inputs, strict=True)
            )
        free = tuple(value for value, reader in last.items() if reader is node)
        instructions.append(Instruction(node, step, cuts, returns, free, node not in unruled))
    return tuple(instructions)


def _select_sum(held: Region, wanted: Region, device: torch.device, *, channel_sum: bool) -> Selection:
    """Plan where the gradient of a part of the image belongs, which may have one channel instead of all."""
    if channel_sum:
        held, wanted = ((region[0], np.arange(1), *region[2:]) for region in (held, wanted))
    return select(held, wanted, device)


def _keeps_no_result(node: Node) -> bool:
    """Whether the step that made the value doesn't need it again for its gradient."""
    return node.target in (torch.ops.aten.conv2d.default, torch.ops.aten.add.Tensor)
