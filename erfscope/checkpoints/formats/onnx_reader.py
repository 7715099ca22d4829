"""Reads an ONNX file by the converter onnx2pytorch: it holds data and operators of a fixed list, no code."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.file_type import other_file_type
from erfscope.checkpoints.fitting.matching import report_program
from erfscope.checkpoints.library import import_library
from erfscope.checkpoints.request import Request
from erfscope.checkpoints.wrappers.fixed_size import FixedSizeProgram
from erfscope.checkpoints.wrappers.library_network import LibraryNetwork
from erfscope.errors import CheckpointError, one_line
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo, TrainingFacts

# Of exporters, which say nothing.
_DEFAULT_NAMES = ("", "main_graph", "torch_jit", "torch-jit-export")


def read(request: Request, _detection: Detection) -> Network:
    """Read the graph and make a module of it.

    Raises
    ------
    CheckpointError
        The file is damaged, takes something else than an image, or has an operator that can't be converted.
    """
    path = request.path
    request.refuse_beside_program()
    kind = other_file_type(path)
    if kind:
        raise CheckpointError(f"{path} {kind}")
    onnx = import_library("onnx", "onnx", str(path))
    model = _load(path, onnx)
    sizes = _input_sizes(model, path)
    _copy_shared_constants(model)
    network = FixedSizeProgram(_convert(model, path), sizes)
    info = ModelInfo(
        model.graph.name if model.graph.name not in _DEFAULT_NAMES else "ONNX graph",
        _classes(model),
        report_program(network.program, path),
        training=TrainingFacts(crop_size=network.image_size),
        format="ONNX file",
    )
    return LibraryNetwork(network, info)


def _load(path: Path, onnx: Any) -> Any:
    try:
        model = onnx.load_model(path, load_external_data=False)
        _check_external(model, path, onnx)
        onnx.load_external_data_for_model(model, str(path.parent))
        onnx.checker.check_model(model)
    except CheckpointError:
        raise
    except Exception as error:  # of protobuf, of onnx, of the disk
        raise CheckpointError(
            f"{path} is no readable ONNX file ({one_line(error)}); copy it again, with the files beside it"
        ) from error
    return model


def _check_external(model: Any, path: Path, onnx: Any) -> None:
    """Refuse tensors that are to be read from files elsewhere, or that claim more than their file holds."""
    claimed, files = 0, {}
    for tensor in _external_tensors(model.graph, onnx):
        told = {entry.key: entry.value for entry in tensor.external_data}
        place = path.parent / told.get("location", "")
        if not place.resolve().is_relative_to(path.parent.resolve()):
            raise CheckpointError(
                f"{path} is refused: its tensor {tensor.name!r} is to be read from {told['location']!r}, "
                "out of its folder; get it from another source"
            )
        if not place.is_file():
            raise CheckpointError(
                f"{path} keeps its tensor {tensor.name!r} in {place}, which is no file; copy that one, too"
            )
        files[place] = place.stat().st_size
        claimed += int(told.get("length") or files[place])
    if claimed > 2 * sum(files.values()):
        raise CheckpointError(
            f"{path} is refused: its tensors claim {claimed / 1e9:.3g} GB of files of "
            f"{sum(files.values()) / 1e9:.3g} GB; get it from another source"
        )


def _external_tensors(graph: Any, onnx: Any) -> Iterator[Any]:
    sparse = (part for each in graph.sparse_initializer for part in (each.values, each.indices))
    for tensor in (*graph.initializer, *sparse):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield tensor
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        for tensor in (attribute.t, *attribute.tensors):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                yield tensor
        for inner in (attribute.g, *attribute.graphs):
            if inner.node or inner.initializer:
                yield from _external_tensors(inner, onnx)


def _input_sizes(model: Any, path: Path) -> list[int | None]:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    shapes = [_shape(value) for value in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] not in (3, None):
        described = "; ".join(f"{value.name} {shape}" for value, shape in zip(inputs, shapes, strict=True))
        raise CheckpointError(
            f"{path} takes {described or 'nothing'}; expected one batch of images [N, 3, H, W]"
        )
    return shapes[0]


def _shape(value: Any) -> list[int | None]:
    """Sizes of the axes, None for those that are free."""
    return [axis.dim_value or None for axis in value.type.tensor_type.shape.dim]


def _classes(model: Any) -> dict[str, int]:
    shapes = [_shape(value) for value in model.graph.output]
    known = shapes[0][1] if shapes and len(shapes[0]) == 4 else None
    return {} if known is None else {"num_classes": known}


def _copy_shared_constants(model: Any) -> None:
    """Give each user of a constant its own: exporters share equal ones, which the converter can't follow."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Identity" and node.input[0] in constants]:
        graph.initializer.append(constants[node.input[0]])
        graph.initializer[-1].name = node.output[0]
        constants[node.output[0]] = graph.initializer[-1]
        graph.node.remove(node)


def _take_dots_off(module: Any) -> None:
    """Rename layers that the former exporter called as in `layer1.0`: no graph can be captured with these."""
    for number, (node, name) in enumerate(module.mapping.items()):
        if "." in name:
            module.mapping[node] = f"{name.replace('.', '_')}_{number}"
            setattr(module, module.mapping[node], getattr(module, name))
            delattr(module, name)


def _convert(model: Any, path: Path) -> nn.Module:
    converter = import_library("onnx2pytorch", "onnx", str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: nn.Module = converter.ConvertModel(model)
    except Exception as error:  # whatever it can't convert
        raise CheckpointError(
            f"{path} can't be converted ({one_line(error)}); export the network it comes from by "
            "torch.export.save, or give its weights by --model NAME --checkpoint FILE"
        ) from error
    _take_dots_off(module)
    # Of operators' indexing, at every image.
    warnings.filterwarnings("ignore", message="Using a non-tuple sequence", category=UserWarning)
    return module.float().eval()
