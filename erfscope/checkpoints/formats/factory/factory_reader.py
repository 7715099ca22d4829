"""Builds a network by the user's own code, `package.module:function`, which runs as the user names it."""

import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.weights_file import file_sha256, read_checkpoint
from erfscope.checkpoints.fitting.matching import load_weights
from erfscope.checkpoints.formats.factory.factory_preprocessing import read_preprocessing
from erfscope.checkpoints.request import Request
from erfscope.checkpoints.wrappers.library_network import LibraryNetwork
from erfscope.errors import CheckpointError, one_line
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo, WeightsReport

_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
# Where no code of the user lies: Python's own library, installed packages, erfscope, the import machinery.
_NOT_THE_USERS = (
    *(sysconfig.get_path(each) for each in ("stdlib", "purelib")),
    str(Path(__file__).parents[2]),
    "<",
)


def read(request: Request, _detection: Detection) -> Network:
    """Import the module, from the current folder as well, and call the function.

    Raises
    ------
    CheckpointError
        There is no such function, it fails, or returns no network.
    """
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:  # as for `python -m`
        sys.path.insert(0, here)
    return build_by_function(_function(request.spec), request, "module:function")


def build_by_function(function: Callable[..., Any], request: Request, form: str) -> Network:
    """Call a function that returns a network, or a network and its preprocessing.

    The request's options are its keyword arguments; torch's random numbers start from the request's seed. The
    weights of `--checkpoint` must match as a whole; without them the network keeps those that it has. `form`
    is recorded as `ModelInfo.format`.

    Raises
    ------
    CheckpointError
        The function fails, takes other arguments or returns no network, or the weights don't match.
    """
    request.refuse_config("the function describes its network itself")
    arguments = _arguments(function, request)
    with _shown(request.spec), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(request.seed)
        made = function(**arguments)
    network, told = made if isinstance(made, tuple) and len(made) == 2 else (made, {})
    if not isinstance(network, nn.Module) or not isinstance(told, Mapping):
        raise CheckpointError(
            f"{request.spec} returned {_kinds(made)}; expected a torch.nn.Module, or one and a dict of its "
            "preprocessing"
        )
    network = network.float().cpu().eval()
    training = read_preprocessing(told, request.spec)
    report = _weights(network, request)
    options = {**request.options, **({"num_classes": len(training.classes)} if training.classes else {})}
    info = ModelInfo(request.spec, options, report, training=training, format=form)
    return LibraryNetwork(network, info)


def _function(spec: str) -> Callable[..., Any]:
    module_name, _, name = spec.partition(":")
    with _shown(spec):
        try:
            module = import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise  # of a module that the user's code imports
            raise CheckpointError(
                f"{spec}: there is no module {error.name}, neither installed nor in {Path.cwd()}; run "
                "erfscope in the folder of the code, or install it"
            ) from None
    function = getattr(module, name, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise CheckpointError(
            f"{spec}: {module_name} has no function {name}; it has {', '.join(own[:8]) or 'none'}"
        )
    found: Callable[..., Any] = function
    return found


def _arguments(function: Callable[..., Any], request: Request) -> dict[str, Any]:
    """Check the options against what the function takes."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a function of C
        return dict(request.options)
    kinds = {name: each.kind for name, each in parameters.items()}
    takes = [name for name, kind in kinds.items() if kind in _BY_KEYWORD]
    unknown = [option for option in request.options if option not in takes]
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds.values():
        option = unknown[0].replace("_", "-")
        raise CheckpointError(
            f"{request.spec} takes no --{option}; its arguments are: {', '.join(takes) or 'none'}"
        )
    return {**request.options, **({"seed": request.seed} if "seed" in takes else {})}


def _weights(network: nn.Module, request: Request) -> WeightsReport:
    if request.checkpoint is None:
        return WeightsReport("as given", seed=request.seed)
    return load_weights(
        network,
        read_checkpoint(request.checkpoint).state,
        str(request.checkpoint),
        file_sha256(request.checkpoint),
        strict=True,
        allow_partial=request.allow_partial,
        described_by=request.spec,
    )


@contextmanager
def _shown(spec: str) -> Iterator[None]:
    """Show what the user's code raises in one line, with its place; what it prints goes to stderr."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except CheckpointError:
        raise
    except (Exception, SystemExit) as error:
        raise CheckpointError(
            f"{spec} failed at {_place(error)} ({one_line(error)}); mend it there"
        ) from error


def _place(error: BaseException) -> str:
    """File and line of the user's own code, the innermost if there are several."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_NOT_THE_USERS)]
    frame = (own or frames)[-1]
    return f"{frame.filename}, line {frame.lineno}"


def _kinds(made: Any) -> str:
    return (
        f"({', '.join(type(each).__name__ for each in made)})"
        if isinstance(made, tuple)
        else type(made).__name__
    )
