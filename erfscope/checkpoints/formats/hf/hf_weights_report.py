"""Reports how well a file's tensors fit a network of transformers, from its own account of loading them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from erfscope.checkpoints.fitting.matching import REQUIRED_SHARE, comparable, count_not_finite
from erfscope.checkpoints.formats.hf.hf_folder import Weights
from erfscope.errors import CheckpointError
from erfscope.records.model_info import WeightsReport

# Of OneFormer: what reads the texts of its training.
_TRAINING_ONLY = "text_mapper."
_NAMES_SHOWN = 3


def report_fit(network: nn.Module, weights: Weights, info: Mapping[str, Any]) -> WeightsReport:
    """Report from the `info` of `from_pretrained` what matched; no file is hashed yet."""
    wanted = comparable(network.state_dict())
    absent = set(info["missing_keys"]) | {name for name, *_ in info["mismatched_keys"]}
    extra = sorted(name for name in info["unexpected_keys"] if not name.endswith("num_batches_tracked"))
    unexpected = tuple(name for name in extra if _TRAINING_ONLY not in name)
    matched = tuple(name for name in wanted if name not in absent)
    return WeightsReport(
        source=str(weights.source),
        matched=matched,
        missing=tuple(name for name in wanted if name in absent),
        unexpected=unexpected,
        left_out=len(extra) - len(unexpected),
        not_finite=count_not_finite(network, matched),
    )


def refuse_poor(network: nn.Module, weights: Weights, report: WeightsReport, info: Mapping[str, Any]) -> None:
    """Refuse weights of which a shape is wrong, a part absent, or more than 5 % absent or left over."""
    wanted = comparable(network.state_dict())
    taken = count_values(wanted[name] for name in report.matched)
    share = min(
        len(report.matched) / len(wanted),
        taken / max(1, count_values(wanted.values())),
        taken / max(1, _offered(weights)),
    )
    parts = _absent_parts(network, report)
    if not info["mismatched_keys"] and not parts and share >= REQUIRED_SHARE:
        return
    facts = [
        f"{show([name])} is {list(theirs)} in the file, {list(ours)} here"
        for name, theirs, ours in sorted(info["mismatched_keys"])[:1]
    ]
    facts += [f"nothing of {show(parts)}"] if parts else []
    facts += [f"missing {show(report.missing)}"] if report.missing else []
    facts += [f"unexpected {show(report.unexpected)}"] if report.unexpected else []
    raise CheckpointError(
        f"{report.source} doesn't fit the network that its config describes ({'; '.join(facts)}); "
        "--allow-partial loads what fits"
    )


def _offered(weights: Weights) -> int:
    """Count the values that a network could take: indices, which older files hold, are none."""
    return count_values(
        tensor
        for name, tensor in comparable(weights.state).items()
        if tensor.is_floating_point() and _TRAINING_ONLY not in name
    )


def _absent_parts(network: nn.Module, report: WeightsReport) -> list[str]:
    """Name the network's parts, such as its head, of which the file has no parameter at all."""
    matched = set(report.matched)
    return [
        part
        for part, module in network.named_children()
        if "auxiliary" not in part  # only training needs it
        and (names := [f"{part}.{name}" for name, _ in module.named_parameters()])
        and not matched.intersection(names)
    ]


def count_values(tensors: Iterable[torch.Tensor]) -> int:
    """Count the values of all tensors."""
    return sum(tensor.numel() for tensor in tensors)


def show(names: Sequence[str]) -> str:
    """Return the first names, bounded and in one line: a file may name its tensors as it likes."""
    bounded = (name[:80] for name in names[:_NAMES_SHOWN])
    return ", ".join("".join(c if c.isprintable() else "?" for c in name) for name in bounded)
