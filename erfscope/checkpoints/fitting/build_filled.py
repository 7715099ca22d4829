"""Builds another library's network with a file's weights: names and shapes are compared first."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from erfscope.checkpoints.files.state_dict import StateDict
from erfscope.checkpoints.files.weights_file import Checkpoint, file_sha256
from erfscope.checkpoints.fitting.matching import load_weights, report_random
from erfscope.checkpoints.fitting.prefixes import best_prefixes, split_by_prefix
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError, one_line
from erfscope.records.model_info import WeightsReport

# How many times a file's values a network may have that it fills in part.
_MAX_GROWTH = 4


def build_shapes(make: Callable[[], nn.Module], what: str) -> nn.Module:
    """Call `make` on the meta device: names and shapes without memory.

    Raises
    ------
    CheckpointError
        The library refuses, with its reason; `what` names the network.
    """
    with _refusals(what), torch.device("meta"), _SmallTablesOnCpu():
        return make()


def build_seeded(make: Callable[[], nn.Module], seed: int, what: str) -> nn.Module:
    """Call `make` with torch's random numbers from `seed`, which are left as found; eval mode."""
    with _refusals(what), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make().eval()


def build_filled(
    make: Callable[[], nn.Module],
    content: Checkpoint | None,
    request: Request,
    rename: Callable[[StateDict, nn.Module], StateDict] = lambda state, shapes: state,
) -> tuple[nn.Module, WeightsReport]:
    """Build a network and give it a file's weights, or random ones without a file.

    Where the file doesn't fill the network, that is found out before the network takes memory: a
    description can ask for any size. `rename` brings a file's names to those of the network.
    """
    what = str(request.config or request.spec)
    if content is None:
        network = build_seeded(make, request.seed, what)
        return network, report_random(network, request.seed)
    shapes = build_shapes(make, what)
    prefix = best_prefixes(content.state, shapes.state_dict())[0]
    inside, beside = split_by_prefix(content.state, prefix)
    # Under its prefix again, which tells the network's tensors from a training module's own.
    state = beside | {prefix + name: tensor for name, tensor in rename(inside, shapes).items()}
    fill(shapes, state, content, request)
    _refuse_growth(shapes, state, what)
    network = build_seeded(make, request.seed, what)
    return network, fill(network, state, content, request)


def fill(network: nn.Module, state: StateDict, content: Checkpoint, request: Request) -> WeightsReport:
    """Copy a file's tensors into the network; every one must match unless `allow_partial` was said."""
    without_memory = any(tensor.is_meta for tensor in network.state_dict().values())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*copying from a non-meta parameter")  # that is meant
        return load_weights(
            network,
            state,
            str(content.path),
            "" if without_memory else file_sha256(content.path),
            strict=True,
            allow_partial=request.allow_partial,
            described_by=str(request.config or request.spec),
        )


def count_classes(shapes: nn.Module, head: str, state: StateDict) -> int | None:
    """Read the number of classes off a file: the outputs of the last convolution under the prefix `head`.

    None if the file has no such tensor.
    """
    weights = [name for name, t in shapes.state_dict().items() if name.startswith(f"{head}.") and t.ndim == 4]
    weight = find_tensor(state, weights[-1]) if weights else None
    return weight.shape[0] if weight is not None and weight.ndim == 4 else None


def find_tensor(state: StateDict, name: str) -> torch.Tensor | None:
    """Return a file's tensor of that name, whatever prefix leads it; None without it."""
    return next((t for key, t in state.items() if key == name or key.endswith(f".{name}")), None)


class _SmallTablesOnCpu(TorchFunctionMode):
    """Leaves `linspace` real, from which libraries read numbers, such as the drop rate of each layer."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        return function(*args, **(named | {"device": "cpu"} if function is torch.linspace else named))


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Turn whatever a library raises at a description that it doesn't like into a `CheckpointError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries warn of their own deprecations
            yield
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{what} can't be built ({one_line(error)}); correct its options or its description"
        ) from error


def _refuse_growth(shapes: nn.Module, state: StateDict, what: str) -> None:
    wanted, offered = (sum(t.numel() for t in tensors.values()) for tensors in (shapes.state_dict(), state))
    if wanted > _MAX_GROWTH * offered:
        raise CheckpointError(
            f"{what} describes a network of {wanted:.2g} values, and its file holds {offered:.2g}; "
            "expected the weights of that network"
        )
