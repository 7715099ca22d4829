"""Load a classifier's weights into a backbone, from a file of torchvision, timm or OpenMMLab."""

from pathlib import Path

from erfscope.checkpoints.files.state_dict import StateDict
from erfscope.checkpoints.files.weights_file import file_sha256, read_checkpoint
from erfscope.checkpoints.fitting.matching import REQUIRED_SHARE, comparable, count_not_finite
from erfscope.checkpoints.fitting.prefixes import fits, under_own_names
from erfscope.errors import TrainError
from erfscope.records.model_info import WeightsReport
from erfscope.train.network.backbone_names import fit_positions, namings, wanted_tensors
from erfscope.zoo.segmentor import Segmentor

_NAMES_SHOWN = 3


def load_pretrained(network: Segmentor, path: Path) -> WeightsReport:
    """Copy a file's weights into the network's backbone, in place; the file may hold a whole network.

    Raises
    ------
    CheckpointError
        The file can't be read safely.
    TrainError
        Less than 95 % of the backbone's tensors, or of their values, are in it.
    """
    backbone = network.backbone
    kind, offered = type(backbone).__name__, comparable(read_checkpoint(path).state)
    wanted = wanted_tensors(kind, comparable(backbone.state_dict()))
    named = [
        fit_positions(backbone, under_own_names(state, wanted)) for state in namings(kind, offered, wanted)
    ]
    state = max(named, key=lambda candidate: _share(wanted, candidate))
    matched = _matched(wanted, state)
    if _share(wanted, state) < REQUIRED_SHARE:
        raise TrainError(_refusal(path, kind, wanted, state))
    backbone.load_state_dict({name: state[name] for name in matched}, strict=False)
    broken = count_not_finite(backbone, matched)
    if broken:
        raise TrainError(
            f"{path}: {sum(broken.values())} values are NaN or infinite (first in {next(iter(broken))}); "
            "download it again"
        )
    return WeightsReport(
        source=str(path),
        sha256=file_sha256(path),
        matched=tuple(matched),
        missing=tuple(name for name in wanted if name not in set(matched)),
        left_out=len(offered) - len(matched),
    )


def _matched(wanted: StateDict, state: StateDict) -> list[str]:
    return [name for name in wanted if fits(wanted[name], state.get(name))]


def _share(wanted: StateDict, state: StateDict) -> float:
    """Smaller of the matched shares of tensors and of values."""
    matched = _matched(wanted, state)
    values = sum(wanted[name].numel() for name in matched) / sum(t.numel() for t in wanted.values())
    return min(len(matched) / len(wanted), values)


def _refusal(path: Path, kind: str, wanted: StateDict, state: StateDict) -> str:
    missing = [name for name in wanted if not fits(wanted[name], state.get(name))]
    reshaped = next((name for name in missing if name in state), None)
    fact = f"missing {', '.join(missing[:_NAMES_SHOWN])}"
    if reshaped is not None:
        fact = f"{reshaped} is {list(state[reshaped].shape)} in the file, {list(wanted[reshaped].shape)} here"
    return (
        f"{path} matches only {_share(wanted, state):.0%} of the backbone, a {kind} ({fact}); give the"
        " weights of the same --backbone, as torchvision, timm or mmsegmentation name them"
    )
