"""Loads a state dict into a network, reports what matched, and finds the catalog's network it fits best."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from erfscope.checkpoints.files.state_dict import StateDict
from erfscope.checkpoints.files.weights_file import file_sha256
from erfscope.checkpoints.fitting.prefixes import best_prefixes, fits, split_by_prefix, under_own_names
from erfscope.errors import CheckpointError, NetworkError
from erfscope.records.model_info import WeightsReport
from erfscope.zoo.build import build_skeleton, make_part
from erfscope.zoo.catalog.backbone_catalog import BACKBONES, name_backbone
from erfscope.zoo.catalog.entries import CATALOG, describe_network

REQUIRED_SHARE = 0.95
_AUXILIARY = ("auxiliary_head.", "aux_classifier.")
_NAMES_SHOWN = 3


def load_weights(
    network: nn.Module,
    state: StateDict,
    source: str,
    sha256: str,
    *,
    strict: bool,
    allow_partial: bool,
    described_by: str = "its config",
) -> WeightsReport:
    """Copy into `network`, in place, what of `state` has the right name and shape.

    A common prefix of the network's names (`net.`) is removed, and tensors without it are left out: losses
    and metrics of a training module. `described_by` names, for errors, what describes the network.

    Raises
    ------
    CheckpointError
        Less than 95 % of the network's parameters match, counted by tensors or by values, whichever is
        less; with `strict`, one is missing or one too many. Neither if `allow_partial` is set.
    """
    wanted = comparable(network.state_dict())
    offered = _of_network(comparable(state), wanted, source)
    main = {name: tensor for name, tensor in offered.items() if not name.startswith(_AUXILIARY)}
    matched = [name for name in wanted if fits(wanted[name], main.get(name))]
    report = WeightsReport(
        source=source,
        sha256=sha256,
        matched=tuple(matched),
        missing=tuple(name for name in wanted if name not in set(matched)),
        unexpected=tuple(name for name in main if name not in wanted),
        left_out=len(comparable(state)) - len(main),
    )
    share = _share(wanted, matched)
    poor = bool(report.missing or report.unexpected) if strict else share < REQUIRED_SHARE
    if poor and not allow_partial:
        raise CheckpointError(_refusal(report, share, wanted, main, described_by if strict else None))
    network.load_state_dict({name: main[name] for name in matched}, strict=False)
    return replace(report, not_finite=count_not_finite(network, matched))


def _of_network(offered: StateDict, wanted: StateDict, source: str) -> StateDict:
    """Return the file's tensors under the network's own names, without what stands beside a whole network."""
    prefix, *others = best_prefixes(offered, wanted)
    if others:
        raise CheckpointError(
            f"{source} holds the network under {prefix!r} as well as under {others[0]!r}; "
            "save the one that is meant alone"
        )
    inside, beside = split_by_prefix(offered, prefix)
    whole = all(fits(tensor, inside.get(name)) for name, tensor in wanted.items())
    return inside if whole else beside | inside


def count_not_finite(network: nn.Module, names: Iterable[str]) -> dict[str, int]:
    """Count the values that are NaN or infinite in each tensor that has any."""
    state = network.state_dict()
    counts = {name: int((~state[name].isfinite()).sum()) for name in names if not state[name].is_meta}
    return {name: count for name, count in counts.items() if count}


def report_random(network: nn.Module, seed: int) -> WeightsReport:
    """Report that all weights are random."""
    return WeightsReport("random", seed=seed, missing=tuple(comparable(network.state_dict())))


def report_program(network: nn.Module, path: Path) -> WeightsReport:
    """Report that all weights are those of a file that holds its network whole."""
    names = tuple(comparable(network.state_dict()))
    return WeightsReport(
        str(path), file_sha256(path), matched=names, not_finite=count_not_finite(network, names)
    )


def nearest_entry(state: StateDict) -> tuple[str, str, float]:
    """Return catalog name, backbone and share of that network's parameters found in `state`."""
    state = comparable(state)
    # Of two that the file holds whole, the larger: one may be the beginning of the other.
    shares = {name: (_share_of(wanted, state), len(wanted)) for name, wanted in _backbones().items()}
    backbone = max(shares, key=shares.__getitem__)
    scores = [(name, own, _share_of(wanted, state)) for name, own, wanted in _entries(backbone)]
    return max(scores, key=itemgetter(2))  # of equals (FCN and FCN-D6 differ in rates alone) the first


@cache
def _backbones() -> Mapping[str, StateDict]:
    """Return the tensors of every backbone, which take seconds to name and no memory: they have no values."""
    return {name: comparable(make_part(part).state_dict()) for name, part in BACKBONES.items()}


@cache
def _entries(backbone: str) -> Sequence[tuple[str, str, StateDict]]:
    """Return name, backbone and tensors of every network of the catalog, on a backbone if it has a choice."""
    entries = []
    for name, entry in CATALOG.items():
        options: dict[str, Any] = {"backbone": backbone} if "backbone" in entry.options else {}
        with suppress(NetworkError):  # it doesn't stand on this backbone
            network = describe_network(name, **options)
            wanted = comparable(build_skeleton(network).state_dict())
            entries.append((name, name_backbone(network.backbone), wanted))
    return entries


def _share_of(wanted: StateDict, state: StateDict) -> float:
    state = under_own_names(state, wanted)
    return _share(wanted, [key for key in wanted if fits(wanted[key], state.get(key))])


def comparable(state: Mapping[str, torch.Tensor]) -> StateDict:
    """Leave out batch norm's step counters, which say nothing about a network and are not in old files."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def _share(wanted: StateDict, matched: Iterable[str]) -> float:
    """Smaller of the matched shares of tensors and of values: either alone can hide what is random."""
    matched = list(matched)
    values = sum(wanted[name].numel() for name in matched) / sum(t.numel() for t in wanted.values())
    return min(len(matched) / len(wanted), values)


def _refusal(
    report: WeightsReport, share: float, wanted: StateDict, main: StateDict, described_by: str | None
) -> str:
    reshaped = [name for name in report.missing if name in main]
    facts = []
    if reshaped:
        name = reshaped[0]
        facts.append(f"{name} is {list(main[name].shape)} in the file, {list(wanted[name].shape)} here")
    absent = [name for name in report.missing if name not in main]
    facts += [f"missing {', '.join(absent[:_NAMES_SHOWN])}"] if absent else []
    facts += [f"unexpected {', '.join(report.unexpected[:_NAMES_SHOWN])}"] if report.unexpected else []
    if described_by is not None:
        return (
            f"{report.source} doesn't fit the network that {described_by} describes ({'; '.join(facts)}); "
            "--allow-partial loads what fits"
        )
    name, backbone, nearest_share = nearest_entry(main)
    closest = f"--model {name} --backbone {backbone} ({nearest_share:.0%} match)"
    return (
        f"{report.source} matches only {share:.0%} of the network's parameters ({'; '.join(facts)}); "
        f"closest in the catalog: {closest}; --allow-partial loads it all the same"
    )
