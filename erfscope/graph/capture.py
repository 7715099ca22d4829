"""Captures a module as a flat, functional ATen graph (`torch.export`, non-strict)."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass

import torch
from torch import nn
from torch.fx import Graph, Node

from erfscope.graph.functional import make_functional, simplify


@dataclass
class Captured:
    """A functional graph and its constants.

    Attributes
    ----------
    graph
        torch.fx graph of ATen calls; every call's `meta["val"]` tells its shape. No node changes a tensor
        in place.
    constants
        Of each node that stands for a parameter, buffer or literal tensor, the tensor.
    image, output
        The nodes of the input batch and of the result.
    """

    graph: Graph
    constants: dict[Node, torch.Tensor]
    image: Node
    output: Node

    @property
    def calls(self) -> list[Node]:
        """The operations, in an order in which they can be run."""
        return [node for node in self.graph.nodes if node.op == "call_function"]


def capture(module: nn.Module, image: torch.Tensor) -> Captured:
    """Capture what `module` computes from an image of this shape, dtype and device.

    Parameters
    ----------
    module
        In eval mode; takes one tensor and returns one.
    image
        (N, 3, H, W); the graph holds for this shape only.

    Raises
    ------
    Exception
        Whatever torch raises for a module that can't be captured.
    """
    with _quiet():
        program = torch.export.export(module, (image,), strict=False)
        if not make_functional(program.graph):
            program = program.run_decompositions({})
    simplify(program.graph)
    signature, graph = program.graph_signature, program.graph
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    literals = signature.inputs_to_lifted_tensor_constants
    constants, inputs = {}, []
    for node in graph.nodes:
        if node.op != "placeholder":
            continue
        if node.name in names:
            source = program.state_dict if names[node.name] in program.state_dict else program.constants
            constants[node] = source[names[node.name]].detach()
        elif node.name in literals:
            constants[node] = program.constants[literals[node.name]].detach()
        else:
            inputs.append(node)
    (image_node,) = inputs
    (output,) = next(node for node in graph.nodes if node.op == "output").args[0]
    _erase_unneeded(graph, output)
    return Captured(graph, constants, image_node, output)


def _erase_unneeded(graph: Graph, output: Node) -> None:
    """Erase also the checks that torch's own dead-code elimination leaves: they return nothing."""
    needed = {output}
    for node in reversed(graph.nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
        elif node.op == "call_function":
            graph.erase_node(node)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's warnings and the tracebacks that it logs; a failure still raises."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        # torch prints a graph that it could not finish.
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
