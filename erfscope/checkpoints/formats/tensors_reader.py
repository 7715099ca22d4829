"""A file of tensors that must say, or show by its names, what network it is."""

from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from erfscope.checkpoints.detect import detect_description
from erfscope.checkpoints.files.weights_file import Checkpoint, read_checkpoint
from erfscope.checkpoints.fitting.likeness import likeness
from erfscope.checkpoints.fitting.matching import nearest_entry
from erfscope.checkpoints.formats import trained_reader
from erfscope.checkpoints.formats.mmsegmentation import config_text, read_described
from erfscope.checkpoints.formats.torchvision.torchvision_weights import read_recognized, recognize
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.model.network import Network


def read(request: Request) -> Network:
    """Read the tensors, find out what network they are of, and build that.

    Raises
    ------
    CheckpointError
        The file can't be read safely, or doesn't tell what network it is.
    """
    request.refuse_checkpoint(f"{request.spec} is a checkpoint itself")
    content = read_checkpoint(request.path)
    told = trained_reader.recognize(content)
    if told is not None:
        return trained_reader.read_recognized(request, content, told)
    if request.config is None:
        request = replace(request, config=_sidecar(request.path))
    if request.config is not None and request.config.suffix == ".json":
        reader = import_module(f"erfscope.checkpoints.formats.{detect_description(request.config).format}")
        network: Network = reader.read_described(request, content)
        return network
    if request.config is not None or config_text(content):
        return read_described(request, content)
    recognized = recognize(content)
    if recognized is not None:
        return read_recognized(request, content, *recognized)
    raise CheckpointError(_unknown(content))


def _sidecar(path: Path) -> Path | None:
    """Find the description beside a safetensors file: `w.json` of `w.safetensors`, or `config.json`."""
    if path.suffix == ".safetensors":
        for beside in (path.with_suffix(".json"), path.with_name("config.json")):
            with suppress(CheckpointError):  # it describes something else
                detect_description(beside)
                return beside
    return None


def _unknown(content: Checkpoint) -> str:
    path = content.path
    unknown = f"{path} is a file of weights, which doesn't say what network it is"
    alike = likeness(content.state, path)
    if alike is not None:
        return f"{unknown}; {alike}"
    name, backbone, share = nearest_entry(content.state)
    return (
        f"{unknown}; closest in the catalog: --model {name} --backbone {backbone} --checkpoint {path} "
        f"({share:.0%} match); or give its config by --config"
    )
