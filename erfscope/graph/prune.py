"""From a captured graph to a program that computes one region of its output, and that region's gradient."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.fx import Node

from erfscope.graph.capture import Captured
from erfscope.graph.flow import evaluate_constants
from erfscope.graph.regions import Region, Selection, select, union, whole
from erfscope.graph.rules.piece import Operation, Piece
from erfscope.graph.rules.table import find_piece
from erfscope.graph.steps import Step


@dataclass(frozen=True)
class Instruction:
    """One step of a program: where its operands come from, and which values nobody reads afterwards."""

    node: Node
    step: Step
    operands: tuple[tuple[Node, Selection], ...]
    last_read: tuple[Node, ...]


@dataclass(frozen=True)
class Program:
    """Computes a region of a graph's output from the image, and its gradient.

    Attributes
    ----------
    image_region, output_region
        What is read of the image, and what comes out.
    without_rule
        Operators that ran on everything for want of a rule, with their number.
    """

    image: Node
    output: Node
    instructions: tuple[Instruction, ...]
    image_region: Region
    output_region: Region
    image_selection: Selection
    output_selection: Selection
    without_rule: tuple[tuple[str, int], ...]

    @torch.no_grad()
    def gradient(
        self, image: torch.Tensor, scalar: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Gradient of a scalar function of the output region.

        Parameters
        ----------
        image
            (N, 3, H, W) whole.
        scalar
            From the output region to (N,) scalars; differentiable.

        Returns
        -------
        scalars, gradient
            (N,) and (N, 3, H, W); None if the output doesn't depend on the image differentiably.
        """
        values = {self.image: self.image_selection.cut(image)}
        for instruction in self.instructions:
            operands = [selection.cut(values[source]) for source, selection in instruction.operands]
            values[instruction.node] = instruction.step.forward(*operands)
            for node in instruction.last_read:
                del values[node]
        output = self.output_selection.cut(values[self.output]).detach().requires_grad_()
        with torch.enable_grad():
            scalars = scalar(output)
            (seed,) = torch.autograd.grad(scalars.sum(), output)
        gradients = _Gradients()
        gradients.add(self.output, self.output_selection, seed)
        for instruction in reversed(self.instructions):
            gradient, owned = gradients.pop(instruction.node)
            if gradient is None:
                continue
            found = instruction.step.backward(gradient, owned=owned)
            mine = instruction.step.owns(owned=owned)
            for (source, selection), part in zip(instruction.operands, found, strict=True):
                if part is not None:
                    gradients.add(source, selection, part, owned=mine)
        gradient, _ = gradients.pop(self.image)
        if gradient is None:
            return scalars.detach(), None
        total = torch.zeros_like(image)
        self.image_selection.add_to(total, gradient)
        return scalars.detach(), total


class _Gradients:
    """Sums of gradients by value; a tensor that two values share is never written to."""

    def __init__(self) -> None:
        self.totals: dict[Node, tuple[torch.Tensor, bool]] = {}

    def add(self, node: Node, selection: Selection, part: torch.Tensor, *, owned: bool = False) -> None:
        if selection.is_all:
            if node not in self.totals:
                self.totals[node] = part, owned
                return
            total, own = self.totals[node]
            if own:
                total += part
            elif owned:
                part += total
                self.totals[node] = part, True
            else:
                self.totals[node] = total + part, True
            return
        if node in self.totals:
            total, own = self.totals[node]
            total = total if own else total.clone()
        else:
            total = torch.zeros(selection.held, dtype=part.dtype, device=part.device)
            total = total.to(memory_format=torch.channels_last) if total.ndim == 4 else total
        selection.add_to(total, part)
        self.totals[node] = total, True

    def pop(self, node: Node) -> tuple[torch.Tensor | None, bool]:
        return self.totals.pop(node, (None, False))


def prune(captured: Captured, wanted: Region) -> Program:
    """Plan the computation of a region of the output and of nothing that it doesn't need."""
    constants = evaluate_constants(captured)
    device = captured.image.meta["val"].device
    demands: dict[Node, Region] = {captured.output: wanted}
    pieces: dict[Node, tuple[Operation, Piece]] = {}
    unruled: Counter[str] = Counter()
    for node in reversed(captured.calls):
        if node not in demands:
            continue
        operation = Operation.of(node, constants, device)
        piece, ruled = find_piece(operation, demands[node])
        pieces[node] = operation, piece
        if not ruled:
            unruled[str(node.target)] += 1
        for operand, region in zip(operation.operands, piece.inputs, strict=True):
            demands[operand] = union(demands.get(operand), region)
    image_region = demands[captured.image]
    held = {node: piece.result for node, (_, piece) in pieces.items()} | {captured.image: image_region}
    order = [node for node in captured.calls if node in pieces]
    return Program(
        image=captured.image,
        output=captured.output,
        instructions=_instructions(order, pieces, held, captured.output, device),
        image_region=image_region,
        output_region=wanted,
        image_selection=select(whole(captured.image.meta["val"].shape), image_region, device),
        output_selection=select(held[captured.output], wanted, device),
        without_rule=tuple(sorted(unruled.items())),
    )


def _instructions(
    order: list[Node],
    pieces: dict[Node, tuple[Operation, Piece]],
    held: dict[Node, Region],
    output: Node,
    device: torch.device,
) -> tuple[Instruction, ...]:
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
        free = tuple(value for value, reader in last.items() if reader is node)
        instructions.append(Instruction(node, step, cuts, free))
    return tuple(instructions)


def _keeps_no_result(node: Node) -> bool:
    """Whether the step that made the value doesn't need it again for its gradient."""
    return node.target in (torch.ops.aten.conv2d.default, torch.ops.aten.add.Tensor)
