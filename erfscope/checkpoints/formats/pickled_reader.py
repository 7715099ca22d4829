"""Reads a whole module, as `torch.save(model, file)` writes it: that runs whatever its pickle says."""

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.archive_scan import MODULE_KEYS
from erfscope.checkpoints.fitting.matching import report_program
from erfscope.checkpoints.request import Request
from erfscope.checkpoints.wrappers.library_network import LibraryNetwork
from erfscope.errors import CheckpointError, one_line
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo


def read(request: Request, detection: Detection) -> Network:
    """Unpickle the module, if the user allows it by `--trust`.

    Raises
    ------
    CheckpointError
        The user doesn't, or the code of its class isn't there.
    """
    path = request.path
    request.refuse_beside_program()
    name: str = detection.found
    request.demand_trust(path, f"is a whole pickled module ({name}), and reading it may run code")
    network = _unpickle(path)
    report = report_program(network, path)
    info = ModelInfo(type(network).__name__, {"class": name}, report, format="pickled module")
    return LibraryNetwork(network, info)


def _unpickle(path: Path) -> nn.Module:
    if str(Path.cwd()) not in sys.path:  # as for a script: where the network's code is
        sys.path.insert(0, str(Path.cwd()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=False)
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"{path} needs the module {error.name}, where its class was defined; run erfscope in the folder "
            "of that code, or install it"
        ) from error
    except Exception as error:  # the pickle may raise anything
        raise CheckpointError(
            f"{path} can't be unpickled ({one_line(error)}); save its state dict alone with the version that "
            "wrote it"
        ) from error
    inner = [content.get(key) for key in MODULE_KEYS] if isinstance(content, dict) else []
    network = next(each for each in (content, *inner) if isinstance(each, nn.Module))
    while isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        network = network.module
    return network.float()
