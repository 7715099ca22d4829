"""A whole module, as `torch.save(model, file)` writes it: reading it runs whatever its pickle says."""

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from erfscope.checkpoints.files.archive_scan import MODULE_UNDER, module_class
from erfscope.checkpoints.fitting.program import report_program
from erfscope.checkpoints.request import Request
from erfscope.checkpoints.wrappers.adopted import Adopted
from erfscope.errors import CheckpointError, one_line
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo


def read(request: Request) -> Network:
    """Unpickle it, if the user said `--trust`.

    Raises
    ------
    CheckpointError
        The user didn't, or its code isn't there.
    """
    path = request.path
    request.refuse_beside_program()
    name = module_class(path)
    request.demand_trust(path, f"is a whole pickled module ({name}), and reading it may run code")
    network = _unpickle(path)
    options = {"class": name}
    info = ModelInfo(
        type(network).__name__,
        options,
        report_program(network, path),
        format="pickled module",
        detected_by=f"the class {name} in its pickle",
    )
    return Adopted(network, info)


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
    inner = [content.get(key) for key in MODULE_UNDER] if isinstance(content, dict) else []
    network = next(each for each in (content, *inner) if isinstance(each, nn.Module))
    while isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        network = network.module
    return network.float()
