"""Finds the weights in a folder of transformers, here or in the hub."""

from dataclasses import dataclass
from pathlib import Path

from erfscope.checkpoints.files.json_file import read_json
from erfscope.checkpoints.files.weights_file import StateDict, file_sha256, read_tensors
from erfscope.checkpoints.library import fetch_folder, find_folder
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError

_TORCH_FILES = "pytorch_model*.bin"
# In this order: safetensors hold nothing but tensors.
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_OTHER_WEIGHTS = {".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".pt", ".pth", ".safetensors"}


@dataclass(frozen=True)
class Weights:
    """Tensors, the files they are from, and their `source`: the only file, or the index of several."""

    state: StateDict
    source: Path
    files: tuple[Path, ...]

    def sha256(self) -> str:
        """SHA-256 of the files' bytes, one after another in the order of their names."""
        return file_sha256(*self.files)


def locate_folder(request: Request) -> tuple[Path, str]:
    """Return the folder that is meant, and what it is in words; it is downloaded if it is one of the hub.

    Raises
    ------
    CheckpointError
        There is none.
    """
    name = request.name if request.spec.startswith("hf:") else request.spec
    folder = None if Path(name).is_file() else find_folder(name, "hf", request.spec)
    if folder is None:
        what = "is a file" if Path(name).is_file() else "does not exist"
        raise CheckpointError(
            f"{name} {what}; expected a folder of save_pretrained, or user/name of the Hugging Face hub"
        )
    if folder == Path(name):
        return folder, "transformers folder"
    if not any((folder / file).is_file() for file in _WEIGHTS[:2]):
        fetch_folder(name, "hf", request.spec, ("*.json", _TORCH_FILES))
    return folder, "transformers model of the hub"


def find_weights(folder: Path) -> Path | None:
    """Return the file of the weights, or the index of several; None for a folder without any.

    Raises
    ------
    CheckpointError
        There are weights, but not those that transformers writes with torch.
    """
    paths = (folder / name for name in _WEIGHTS)
    found = next((path for path in paths if path.exists() or path.is_symlink()), None)
    others = sorted(path.name for path in folder.iterdir() if path.suffix in _OTHER_WEIGHTS)
    if found is None and others:
        raise CheckpointError(
            f"{folder} has no {_WEIGHTS[0]} or {_WEIGHTS[2]}, only {', '.join(others[:3])}; "
            "save the network again with save_pretrained"
        )
    return found


def read_weights(source: Path) -> Weights:
    """Read a weights file, or all that an index names.

    Raises
    ------
    CheckpointError
        As `read_tensors`; or the index names a file that isn't beside it.
    """
    shards = _shards(source) if source.suffix == ".json" else [source]
    state: StateDict = {}
    for shard in shards:
        state |= read_tensors(shard)
    return Weights(state, source, tuple(shards))


def _shards(index: Path) -> list[Path]:
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise CheckpointError(f"{index} has no weight_map, which names the files; copy or download it again")
    suffix = ".safetensors" if ".safetensors." in index.name else ".bin"
    shards = []
    for name in sorted({str(name) for name in named.values()}):
        if Path(name).name != name or not name.endswith(suffix) or "\\" in name:
            fault = f"not a {suffix} file beside it"
        elif not (index.parent / name).is_file():
            fault = "which is not beside it"
        else:
            shards.append(index.parent / name)
            continue
        raise CheckpointError(f"{index} names the file {name[:80]!r}, {fault}; download the folder again")
    return shards
