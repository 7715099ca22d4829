"""Reads a TorchScript archive, scripted or traced: the network's own code, without Python's."""

import warnings
from pathlib import Path
from typing import Any

import torch

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.fitting.matching import report_program
from erfscope.checkpoints.formats.torchscript.code_scan import find_suspicious, loops_while
from erfscope.checkpoints.request import Request
from erfscope.checkpoints.wrappers.library_network import LibraryNetwork
from erfscope.errors import CheckpointError, one_line
from erfscope.model.logits import logits_of
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo

_PROBE = (1, 3, 512, 512)
# Which argument says that an operator runs as in training.
_TRAINING_ARGUMENT = {"aten::batch_norm": 5, "aten::dropout": 2, "aten::feature_dropout": 2}


def read(request: Request, _detection: Detection) -> Network:
    """Load the network, unless its code reaches out of it.

    Raises
    ------
    CheckpointError
        Its code does and the user doesn't allow it by `--trust`, or the archive is damaged or was traced in
        training mode.
    """
    path = request.path
    request.refuse_beside_program()
    suspicious = find_suspicious(path)
    if suspicious:
        request.demand_trust(path, suspicious)
    network = _load(path, "cpu").float().eval()
    mode = _trained_mode(network)
    if mode:
        raise CheckpointError(
            f"{path} was traced in training mode ({mode} is on), so its gradients are not those of the "
            "network in use; trace it again after .eval()"
        )
    info = ModelInfo(
        str(network.original_name),
        _classes(path),
        report_program(network, path),
        format="TorchScript archive",
    )
    return LibraryNetwork(network, info)


def _load(path: Path, device: str) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its deprecation
            network: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location=device
            )
            return network
    except Exception as error:  # whatever a broken archive makes torch raise
        raise CheckpointError(
            f"{path} is no readable TorchScript archive ({one_line(error)}); copy it again, or save it with "
            "a torch no newer than this one"
        ) from error


def _trained_mode(network: torch.jit.ScriptModule) -> str | None:
    """Name an operator that a trace fixed in training mode; in a script it follows the network's mode."""
    graph: Any = network.inlined_graph
    for kind, place in _TRAINING_ARGUMENT.items():
        for node in graph.findAllNodes(kind, recurse=True):
            training = list(node.inputs())[place].node()
            if training.kind() == "prim::Constant" and list(node.inputs())[place].toIValue() is True:
                return kind.partition("::")[2]
    return None


def _classes(path: Path) -> dict[str, int]:
    """Tell the number of classes from the shape of the output, on a device without memory."""
    if loops_while(path):
        return {}
    try:
        with torch.no_grad():
            output = _load(path, "meta").eval()(torch.empty(_PROBE, device="meta"))
            return {"num_classes": logits_of(output, _PROBE[2:]).shape[1]}
    except Exception:  # it was traced for another size, or runs on no such device
        return {}
