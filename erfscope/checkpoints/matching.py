"""Fits a state dict to a network, and says which catalogue entry it fits best."""

from collections.abc import Iterable, Mapping
from operator import itemgetter

import torch
from torch import nn

from erfscope.checkpoints.reading import StateDict
from erfscope.errors import CheckpointError
from erfscope.records.network import WeightsReport
from erfscope.zoo.backbones.resnet import RESNETS
from erfscope.zoo.catalog import CATALOG, build_skeleton, resolve_options

REQUIRED_SHARE = 0.95
_AUXILIARY = ("auxiliary_head.", "aux_classifier.")
_NAMES_SHOWN = 3


def load_weights(
    network: nn.Module, state: StateDict, source: str, sha256: str, *, allow_partial: bool
) -> WeightsReport:
    """Copy into `network`, in place, what of `state` has the right name and shape.

    Raises
    ------
    CheckpointError
        Less than 95 % of the network's parameters match, counted by tensors or by values, whichever is
        less, and `allow_partial` is not set.
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
    if share < REQUIRED_SHARE and not allow_partial:
        raise CheckpointError(_refusal(report, share, wanted, main))
    network.load_state_dict({name: main[name] for name in matched}, strict=False)
    return report


def nearest_entry(state: StateDict) -> tuple[str, str, float]:
    """Return catalogue name, backbone and share of that network's parameters found in `state`."""
    state = comparable(state)
    scores = []
    for name in CATALOG:
        for backbone in RESNETS:
            wanted = comparable(build_skeleton(resolve_options(name, backbone=backbone)).state_dict())
            matched = [key for key in wanted if _fits(wanted[key], state.get(key))]
            scores.append((name, backbone, _share(wanted, matched)))
    return max(scores, key=itemgetter(2))  # of equals (FCN and FCN-D6 differ in rates alone) the first


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


def _refusal(report: WeightsReport, share: float, wanted: StateDict, main: StateDict) -> str:
    reshaped = [name for name in report.missing if name in main]
    facts = []
    if reshaped:
        name = reshaped[0]
        facts.append(f"{name} is {list(main[name].shape)} in the file, {list(wanted[name].shape)} here")
    absent = [name for name in report.missing if name not in main]
    facts += [f"missing {', '.join(absent[:_NAMES_SHOWN])}"] if absent else []
    facts += [f"unexpected {', '.join(report.unexpected[:_NAMES_SHOWN])}"] if report.unexpected else []
    name, backbone, nearest_share = nearest_entry(main)
    closest = f"--model {name} --backbone {backbone} ({nearest_share:.0%} match)"
    return (
        f"{report.source} matches only {share:.0%} of the network's parameters ({'; '.join(facts)}); "
        f"closest in the catalogue: {closest}; --allow-partial loads it all the same"
    )
