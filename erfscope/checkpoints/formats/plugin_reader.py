"""Formats and networks that other packages bring."""

from typing import Any

from torch import nn

from erfscope import plugins
from erfscope.checkpoints.fitting.program import report_program
from erfscope.checkpoints.formats.factory.factory_reader import construct
from erfscope.checkpoints.request import Request
from erfscope.checkpoints.wrappers.adopted import Adopted
from erfscope.errors import ErfscopeError, PluginError
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo, WeightsReport


def recognize(request: Request) -> tuple[str, Any, str] | None:
    """Return the name of the plug-in that takes a request, itself, and what told it; None if none does."""
    for name, reader in plugins.load_all(plugins.CHECKPOINTS).items():
        try:
            words = reader.recognizes(request)
        except Exception as error:  # another's code, and this file may be none of its business
            plugins.report(str(plugins.failure(plugins.CHECKPOINTS, name, error)))
            continue
        if words:
            return name, reader, str(words)
    return None


def read(request: Request) -> Network:
    """Let the plug-in read that recognized the request, or build the network that one brings by its name.

    Raises
    ------
    PluginError, CheckpointError
        It fails, or returns no network.
    """
    recognized = recognize(request)
    if recognized is None:
        function = plugins.load(plugins.NETWORKS, request.spec)
        return construct(function, request, "plug-in network", "its name")
    name, reader, words = recognized
    try:
        network = reader.read(request)
    except ErfscopeError:
        raise
    except Exception as error:
        raise plugins.failure(plugins.CHECKPOINTS, name, error) from error
    if isinstance(network, Network):
        return network
    if not isinstance(network, nn.Module):
        raise PluginError(f"plug-in {name} returned a {type(network).__name__}; expected a torch.nn.Module")
    return Adopted(network.eval(), _info(network, request, name, words))


def _info(network: nn.Module, request: Request, plugin: str, words: str) -> ModelInfo:
    report = report_program(network, request.path) if request.path.is_file() else WeightsReport("as given")
    return ModelInfo(type(network).__name__, {}, report, format=f"plug-in {plugin}", detected_by=words)
