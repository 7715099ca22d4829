"""A program that computes one region of a network's output, and that region's gradient."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.fx import Node

from erfscope.graph.regions import Region, Selection
from erfscope.graph.steps.basic import Step


@dataclass(frozen=True)
class ProgramStep:
    """One step of a program.

    Attributes
    ----------
    step
        Computes its result, and the gradients of its operands.
    operands
        The values that it reads, and the part of each.
    returns
        Where in the gradient of each operand its part is added: at the part that is read, but for the
        image, if only the sum over its channels is wanted.
    last_read
        Values that no later step reads.
    ruled
        Whether a rule tells what is needed; else the step computes everything.
    """

    node: Node
    step: Step
    operands: tuple[tuple[Node, Selection], ...]
    returns: tuple[Selection, ...]
    last_read: tuple[Node, ...]
    ruled: bool


@dataclass(frozen=True)
class Program:
    """Computes a region of a graph's output from the image, and the region's gradient.

    Attributes
    ----------
    steps
        In the order of the forward pass.
    image_region, output_region
        The region that is read of the image, and the one that is computed.
    image_selection, image_return
        Where the program reads the image, and where it adds the image's gradient.
    output_selection
        The part of the last step's result that is the output region.
    """

    image: Node
    output: Node
    steps: tuple[ProgramStep, ...]
    image_region: Region
    output_region: Region
    image_selection: Selection
    image_return: Selection
    output_selection: Selection

    @property
    def without_rule(self) -> dict[str, int]:
        """Operators without a rule, which compute everything, with the number of their calls."""
        return dict(Counter(str(i.node.target) for i in self.steps if not i.ruled))

    @torch.no_grad()
    def gradient(
        self, image: torch.Tensor, scalar: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Compute a scalar function of the output region, and its gradient with respect to the image.

        Parameters
        ----------
        image
            (N, 3, H, W), all of it.
        scalar
            From the output region to (N,) scalars; differentiable.

        Returns
        -------
        scalars, gradient
            (N,) and (N, 3, H, W), or (N, 1, H, W) in a program for the sum over the channels. The gradient is
            None if the output doesn't depend on the image differentiably.
        """
        values = {self.image: self.image_selection.cut(image)}
        for program_step in self.steps:
            operands = [selection.cut(values[source]) for source, selection in program_step.operands]
            values[program_step.node] = program_step.step.forward(*operands)
            del operands
            for node in program_step.last_read:
                del values[node]
        output = self.output_selection.cut(values[self.output]).detach().requires_grad_()
        with torch.enable_grad():
            scalars = scalar(output)
            (seed,) = torch.autograd.grad(scalars.sum(), output)
        gradients = _Gradients()
        gradients.add(self.output, self.output_selection, seed, _FOREIGN)
        for program_step in reversed(self.steps):
            gradient, share = gradients.pop(program_step.node)
            if gradient is None:
                continue
            if gradients.add_in_place(program_step, gradient):
                continue
            owned = share.holders == 0
            found = program_step.step.backward(gradient, owned=owned)
            passed = program_step.step.passes_gradient
            if not passed:
                share = _Share() if program_step.step.owns(owned=owned) else _FOREIGN
            share.holders += passed  # so that nothing writes to it before all operands have it
            for (source, _), selection, part in zip(
                program_step.operands, program_step.returns, found, strict=True
            ):
                if part is not None:
                    gradients.add(source, selection, part, share)
            share.holders -= passed
            del gradient, found, part  # else they would still be held while the next ones are made
        gradient, _ = gradients.pop(self.image)
        if gradient is None:
            return scalars.detach(), None
        total = torch.zeros(self.image_return.held, dtype=gradient.dtype, device=image.device)
        self.image_return.add_to(total, gradient)
        return scalars.detach(), total


@dataclass
class _Share:
    """Number of gradients that share one memory; it may be written to when there is just one."""

    holders: int = 0


_FOREIGN = _Share(2**62)  # memory that something unknown may share


class _Gradients:
    """Gradient sums of all values; memory that two of them share is never written to."""

    def __init__(self) -> None:
        self.totals: dict[Node, tuple[torch.Tensor, _Share]] = {}

    def add(self, node: Node, selection: Selection, part: torch.Tensor, share: _Share) -> None:
        total, held = self.pop(node)
        if not selection.is_all:
            if total is None:
                layout = torch.channels_last if part.ndim == 4 else torch.contiguous_format
                total = torch.empty(
                    selection.held, dtype=part.dtype, device=part.device, memory_format=layout
                ).zero_()
            elif held.holders:
                total = total.clone()
            selection.add_to(total, part)
            share = _Share()
        elif total is None:
            total = part
        elif not held.holders:
            total += part
            share = held
        elif not share.holders:
            total = part.add_(total)
        else:
            total, share = total + part, _Share()
        share.holders += 1
        self.totals[node] = total, share

    def add_in_place(self, program_step: ProgramStep, gradient: torch.Tensor) -> bool:
        """Let a step add its operand's gradient to the sum so far, if that may be written to."""
        if len(program_step.operands) != 1 or not program_step.returns[0].is_all:
            return False
        total, share = self.totals.get(program_step.operands[0][0], (None, _FOREIGN))
        return total is not None and share.holders == 1 and program_step.step.add_backward(gradient, total)

    def pop(self, node: Node) -> tuple[torch.Tensor | None, _Share]:
        total, share = self.totals.pop(node, (None, _Share(1)))
        share.holders -= 1
        return total, share
