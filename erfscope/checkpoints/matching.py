"""Fits a state dict to a network, and says which catalogue entry it fits best."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from operator import itemgetter
from typing import Any

import torch
from torch import nn

from erfscope.checkpoints.reading import StateDict
from erfscope.errors import CheckpointError, NetworkError
from erfscope.records.network import WeightsReport
from erfscope.zoo.build import build_skeleton, make_part
from erfscope.zoo.catalog.backbones import BACKBONES, name_backbone
from erfscope.zoo.catalog.table import CATALOG, describe_network

REQUIRED_SHARE = 0.95
_AUXILIARY = ("auxiliary_head.", "aux_classifier.")
_NAMES_SHOWN = 3


def load_weights(
    network: nn.Module, state: StateDict, source: str, sha256: str, *, strict: bool, allow_partial: bool
) -> WeightsReport:
    """Copy into `network`, in place, what of `state` has the right name and shape.

    Raises
    ------
    CheckpointError
        Less than 95 % of the network's parameters match, counted by tensors or by values, whichever is
        less; with `strict`, one is missing or one too many. Neither if `allow_partial` is set.
    """
    wanted = comparable(network.state_dict())
    offered = comparable(state)
    main = {name: tensor for name, tensor in offered.items() if not name.startswith(_AUXILIARY)}
    matched = [name for name in wanted if _fits(wanted[name], main.get(name))]
    report = WeightsReport(
        source=source,
        sha256=sha256,
        matched=tuple(matched),
        missing=tuple(name for name in wanted if name not in set(matched)),
        unexpected=tuple(name for name in main if name not in wanted),
        left_out=len(offered) - len(main),
    )
    share = _share(wanted, matched)
    poor = bool(report.missing or report.unexpected) if strict else share < REQUIRED_SHARE
    if poor and not allow_partial:
        raise CheckpointError(_refusal(report, share, wanted, main, strict=strict))
    network.load_state_dict({name: main[name] for name in matched}, strict=False)
    return report


def nearest_entry(state: StateDict) -> tuple[str, str, float]:
    """Return catalogue name, backbone and share of that network's parameters found in `state`."""
    state = comparable(state)
    within = {name.removeprefix("backbone."): tensor for name, tensor in state.items()}
    shares = {name: _share_of(make_part(part), within) for name, part in BACKBONES.items()}
    backbone = max(shares, key=shares.__getitem__)
    scores = []
    for name, entry in CATALOG.items():
        options: dict[str, Any] = {"backbone": backbone} if "backbone" in entry.options else {}
        with suppress(NetworkError):  # it doesn't stand on this backbone
            network = describe_network(name, **options)
            share = _share_of(build_skeleton(network), state)
            scores.append((name, name_backbone(network.backbone), share))
    return max(scores, key=itemgetter(2))  # of equals (FCN and FCN-D6 differ in rates alone) the first


def _share_of(network: nn.Module, state: StateDict) -> float:
    wanted = comparable(network.state_dict())
    return _share(wanted, [key for key in wanted if _fits(wanted[key], state.get(key))])


def comparable(state: Mapping[str, torch.Tensor]) -> StateDict:
    """Batch norm's step counter says nothing about a network and old files lack it."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def _fits(wanted: torch.Tensor, offered: torch.Tensor | None) -> bool:
    return offered is not None and offered.shape == wanted.shape


def _share(wanted: StateDict, matched: Iterable[str]) -> float:
    """Smaller of the matched shares of tensors and of values: either alone can hide what is random."""
    matched = list(matched)
    values = sum(wanted[name].numel() for name in matched) / sum(t.numel() for t in wanted.values())
    return min(len(matched) / len(wanted), values)


def _refusal(report: WeightsReport, share: float, wanted: StateDict, main: StateDict, *, strict: bool) -> str:
    reshaped = [name for name in report.missing if name in main]
    facts = []
    if reshaped:
        name = reshaped[0]
        facts.append(f"{name} is {list(main[name].shape)} in the file, {list(wanted[name].shape)} here")
    absent = [name for name in report.missing if name not in main]
    facts += [f"missing {', '.join(absent[:_NAMES_SHOWN])}"] if absent else []
    facts += [f"unexpected {', '.join(report.unexpected[:_NAMES_SHOWN])}"] if report.unexpected else []
    if strict:
        return (
            f"{report.source} doesn't fit the network that its config describes ({'; '.join(facts)}); "
            "--allow-partial loads what fits"
        )
    name, backbone, nearest_share = nearest_entry(main)
    closest = f"--model {name} --backbone {backbone} ({nearest_share:.0%} match)"
    return (
        f"{report.source} matches only {share:.0%} of the network's parameters ({'; '.join(facts)}); "
        f"closest in the catalogue: {closest}; --allow-partial loads it all the same"
    )
