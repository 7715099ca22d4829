"""Reads the checkpoint formats, and builds the networks, that plug-ins of other packages bring."""

from torch import nn

from erfscope import plugins
from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.fitting.matching import report_program
from erfscope.checkpoints.formats.factory.factory_reader import build_by_function
from erfscope.checkpoints.request import Request
from erfscope.checkpoints.wrappers.library_network import LibraryNetwork
from erfscope.errors import ErfscopeError, PluginError
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo, WeightsReport


def find_plugin(request: Request) -> Detection | None:
    """Find the plug-in that recognizes a request; None if none does. Those that fail are reported."""
    for name, reader in plugins.load_all(plugins.CHECKPOINTS).items():
        try:
            evidence = reader.recognizes(request)
        except Exception as error:  # another's code, and this file may be none of its business
            plugins.report(str(plugins.failure(plugins.CHECKPOINTS, name, error)))
            continue
        if evidence:
            return Detection("plug-in", str(evidence), found=(name, reader))
    return None


def read(request: Request, detection: Detection) -> Network:
    """Let the plug-in that recognized the request read it.

    Raises
    ------
    PluginError
        It fails, or returns no network.
    """
    name, reader = detection.found
    try:
        network = reader.read(request)
    except ErfscopeError:
        raise
    except Exception as error:
        raise plugins.failure(plugins.CHECKPOINTS, name, error) from error
    if isinstance(network, Network) and hasattr(network, "info"):
        return network
    if not isinstance(network, nn.Module):
        raise PluginError(f"plug-in {name} returned a {type(network).__name__}; expected a torch.nn.Module")
    path = request.path
    report = report_program(network, path) if path.is_file() else WeightsReport("as given")
    info = ModelInfo(type(network).__name__, {}, report, format=f"plug-in {name}")
    return LibraryNetwork(network.eval(), info)


def read_network(request: Request, _detection: Detection) -> Network:
    """Build the network that a plug-in brings by the name in the request.

    Raises
    ------
    PluginError, CheckpointError
        The plug-in can't be imported, fails, or returns no network.
    """
    return build_by_function(plugins.load(plugins.NETWORKS, request.spec), request, "plug-in network")
