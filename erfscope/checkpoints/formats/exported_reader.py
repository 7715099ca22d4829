"""Reads a program of `torch.export`, a .pt2 file: torch unpickles parts of it, which may run code."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.fitting.matching import report_program
from erfscope.checkpoints.request import Request
from erfscope.checkpoints.wrappers.fixed_size import FixedSizeProgram
from erfscope.checkpoints.wrappers.library_network import LibraryNetwork
from erfscope.errors import CheckpointError, one_line
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo, TrainingFacts

# Which argument says that an operator runs as in training.
_TRAINING_ARGUMENT = {
    torch.ops.aten.batch_norm.default: 5,
    torch.ops.aten.dropout.default: 2,
    torch.ops.aten.dropout_.default: 2,
    torch.ops.aten.feature_dropout.default: 2,
    torch.ops.aten.native_dropout.default: 2,
    torch.ops.aten._native_batch_norm_legit.default: 5,
    torch.ops.aten._native_batch_norm_legit_functional.default: 5,
}


def read(request: Request, _detection: Detection) -> Network:
    """Load the program, if the user allows it by `--trust`.

    Raises
    ------
    CheckpointError
        The user doesn't, or the program is damaged or takes something else than an image.
    """
    path = request.path
    request.refuse_beside_program()
    request.demand_trust(
        path, "is an exported program, which torch reads in part by unpickling: it may run code"
    )
    program = _load(path)
    network = FixedSizeProgram(_module(program), _input_sizes(program, path))
    _refuse_training_mode(program, path)
    info = ModelInfo(
        "exported program",
        _classes(program),
        report_program(network.program, path),
        training=TrainingFacts(crop_size=network.image_size),
        format="exported program",
    )
    return LibraryNetwork(network, info)


def _load(path: Path) -> torch.export.ExportedProgram:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(path)
    except Exception as error:  # whatever a broken file makes torch raise
        raise CheckpointError(
            f"{path} is no readable exported program ({one_line(error)}); copy it again, or export it with a "
            "torch no newer than this one"
        ) from error


def _module(program: torch.export.ExportedProgram) -> nn.Module:
    module: nn.Module = program.module()
    for switch in ("train", "eval"):  # which the program has replaced by functions that raise
        vars(module).pop(switch, None)
    return module.float().eval()


def _input_sizes(program: torch.export.ExportedProgram, path: Path) -> list[int | None]:
    """N, C, H, W of the one input, None for those that are free."""
    inputs = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    shapes: list[Any] = [getattr(node.meta.get("val"), "shape", ()) for node in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise CheckpointError(
            f"{path} takes {len(shapes)} inputs with {', '.join(str(len(shape)) for shape in shapes)} axes; "
            "expected one batch of images (N, 3, H, W)"
        )
    return [size if isinstance(size, int) else None for size in shapes[0]]


def _refuse_training_mode(program: torch.export.ExportedProgram, path: Path) -> None:
    for node in program.graph.nodes:
        place = _TRAINING_ARGUMENT.get(node.target, len(node.args))
        if place < len(node.args) and node.args[place] is True:
            raise CheckpointError(
                f"{path} was exported in training mode ({node.target} has it), so its gradients are not "
                "those of the network in use; export it again after .eval()"
            )


def _classes(program: torch.export.ExportedProgram) -> dict[str, int]:
    outputs: Any = next(node for node in program.graph.nodes if node.op == "output").args[0]
    shapes: list[Any] = [
        getattr(node.meta.get("val"), "shape", ()) for node in outputs if hasattr(node, "meta")
    ]
    maps = [shape for shape in shapes if len(shape) == 4]
    return {"num_classes": maps[0][1]} if len(maps) == 1 and isinstance(maps[0][1], int) else {}
