"""Names of jobs, made from their parts so that they stay when a plan grows; they are names of folders."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from erfscope.errors import BatchError

_GOOD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_LONGEST = 180  # most file systems take 255 bytes, and files beside the folder add to it
_WEIGHTS = (".ckpt", ".onnx", ".pt", ".pt2", ".pth", ".safetensors", ".bin")


def network_name(network: Mapping[str, Any], where: str) -> str:
    """Return a network's `name`, else one made from its model, backbone, output stride and checkpoint."""
    if "name" in network:
        return _checked(network["name"], where)
    stride = network.get("output_stride")
    parts = (
        _file_name(network["model"]),
        network.get("backbone"),
        None if stride is None else f"s{stride}",
        _file_name(network["checkpoint"]) if "checkpoint" in network else None,
    )
    return _slug("-".join(str(part) for part in parts if part))


def dataset_name(dataset: Mapping[str, Any], where: str) -> str:
    """Return a dataset's `name`, else one made from its layout and split."""
    if "name" in dataset:
        return _checked(dataset["name"], where)
    return _slug("-".join(str(dataset[key]) for key in ("data", "split") if key in dataset))


def job_name(network: str, dataset: str, size: str | None, rates: Sequence[int] | None, where: str) -> str:
    """Join the names of a job's parts: `deeplabv3-resnet18_cityscapes_769_r6-12-18`.

    Raises
    ------
    BatchError
        The name is too long for a folder.
    """
    rates_part = "r" + "-".join(map(str, rates)) if rates else None
    name = "_".join(part for part in (network, dataset, size, rates_part) if part)
    if len(name) > _LONGEST:
        raise BatchError(f"{where}: {name[:40]}… is a name of {len(name)} letters; give the network a name")
    return name


def _checked(name: Any, where: str) -> str:
    if not isinstance(name, str) or not _GOOD.fullmatch(name):
        raise BatchError(f"{where}: name = {name!r}: expected letters, digits and . _ + -")
    return name


def _file_name(spec: Any) -> str:
    """Return the last part of a path, without the suffix of a weights file; `hf:user/name` stays whole."""
    if ":" in str(spec):
        return str(spec)
    path = PurePath(str(spec))
    return path.stem if path.suffix in _WEIGHTS else path.name


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.") or "unnamed"
