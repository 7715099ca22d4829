"""Looks through a file once, before anything of it is loaded: what kind it is, and whether loading is safe.

Torch's restricted unpickler runs nothing of a file, but it can be made to take all memory or all time: by
names that it admits (`bytearray`, codecs), by tuples that share their parts, by archives that unpack to far
more than themselves.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from erfscope.checkpoints.files.file_type import ZIP_MAGIC, check_file, explain_unreadable
from erfscope.checkpoints.files.pickle_scan import (
    Call,
    Entries,
    Items,
    Name,
    Outline,
    TooLongError,
    read_outline,
)
from erfscope.errors import CheckpointError

_MAGIC = 0x1950A86A20F9469CFC6C
# Torch's former format is five pickles: magic number, these, the content, the keys of its storages.
_BEFORE_CONTENT = ("version", "facts of the machine")
# Ends of names in the archive of an exported program, of former versions of torch and of this one.
_PROGRAM_NAMES = ("models/model.json", "serialized_exported_program.json")
# Tuples of checkpoints are shapes and versions.
_MAX_SIZE, _MAX_DEPTH = 1_000_000, 200
# Writers of checkpoints store tensors as they are. An archive that was packed again may be smaller than
# what it holds, but weights are near to noise: not by such a factor.
_MAX_RATIO = 20
_SMALL = 100_000_000  # bytes
#: Keys under which trainers keep a whole module.
MODULE_KEYS = ("model", "net", "network", "module", "ema", "model_ema")


@dataclass(frozen=True)
class FileScan:
    """What a file holds, told without loading anything of it.

    Attributes
    ----------
    kind
        Exported programs and TorchScript archives are told by the names in their archive, and not looked
        through further; a module and tensors by the pickle of a torch file, which is safe to load with
        `weights_only=True`.
    module_class
        Dotted name of the class of a pickled module; "" for all else.
    """

    kind: Literal["exported program", "TorchScript archive", "safetensors", "module", "tensors"]
    module_class: str = ""


def scan_file(path: Path) -> FileScan:
    """Look through a file, which is opened once.

    Raises
    ------
    CheckpointError
        There is no such file, it is no weights file, is damaged, or loading it would take all memory or time.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            return _scan(path, file)
    except TooLongError as error:
        raise _refusal(path, f"{error}, more than any checkpoint") from error
    except CheckpointError:
        raise
    # Whatever a broken or hostile file makes Python's readers raise is the file's fault, not a bug here.
    except Exception as error:
        raise CheckpointError(explain_unreadable(path, error)) from error


def check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that would unpack to far more than itself, or names paths outside.

    Raises
    ------
    CheckpointError
        It does.
    """
    size = path.stat().st_size
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(_SMALL, _MAX_RATIO * size):
        raise _refusal(
            path, f"{size / 1e6:.3g} MB that claim to unpack to {unpacked / 1e9:.3g} GB are no checkpoint"
        )
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts:
            raise _refusal(path, f"it holds {member.filename!r}, a path that leads out of the archive")


def _scan(path: Path, file: IO[bytes]) -> FileScan:
    head = file.read(9)
    if head.startswith(ZIP_MAGIC):
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if any(name.endswith(_PROGRAM_NAMES) for name in names):
                return FileScan("exported program")
            has_code = any("/code/" in name for name in names)
            if has_code and any(name.endswith("constants.pkl") for name in names):
                return FileScan("TorchScript archive")
            if path.suffix != ".safetensors":
                return _scan_outlines(path, _archived(path, archive))
    length = int.from_bytes(head[:8], "little") + 8  # of the header of safetensors, which is JSON
    if path.suffix == ".safetensors" or (head[8:] == b"{" and length <= path.stat().st_size):
        return FileScan("safetensors")
    file.seek(0)
    return _scan_outlines(path, _in_sequence(path, file))


def _scan_outlines(path: Path, outlines: list[Outline]) -> FileScan:
    hazard = next(filter(None, map(_hazard, outlines)), None)
    if hazard:
        raise _refusal(path, hazard)
    module_class = _module_class(outlines[-1].result)
    return FileScan("module", module_class) if module_class else FileScan("tensors")


def _refusal(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{path} is refused: {reason}; get it from another source")


def _module_class(content: Any) -> str:
    """Name the class of the network where a torch file holds one whole, pickled, instead of tensors."""
    inner = [content.get(key) for key in MODULE_KEYS] if isinstance(content, Entries) else []
    modules = [each for each in (content, *inner) if isinstance(each, Call) and _is_module(each)]
    return str(modules[0].of) if modules else ""


def _is_module(made: Call) -> bool:
    # As torch.nn.Module's __getstate__ has it, whatever the class.
    state = made.state if isinstance(made.state, Entries) else Entries()
    return isinstance(made.of, Name) and state.get("_modules") is not None


def _in_sequence(path: Path, file: IO[bytes]) -> list[Outline]:
    """Outline all pickles of torch's former format, the content's last."""
    outlines = [read_outline(file)]
    if outlines[0].result != _MAGIC:
        raise CheckpointError(
            f"{path} is refused: it is a pickle, but not one of torch's "
            f"(it names {', '.join(outlines[0].names[:2]) or 'nothing'}); expected .pth or .safetensors"
        )
    outlines += [read_outline(file) for _ in _BEFORE_CONTENT]
    content = read_outline(file)
    return [*outlines, read_outline(file), content]


def _archived(path: Path, archive: zipfile.ZipFile) -> list[Outline]:
    """Outline all pickles of torch's archive that torch would read."""
    outlines = []
    members = archive.infolist()
    check_members(path, members)
    for member in members:
        if member.filename.endswith("data.pkl"):
            with archive.open(member) as pickle:
                outlines.append(read_outline(pickle))
    if not outlines:
        holds = ", ".join([member.filename for member in members[:3]]) or "nothing"
        raise CheckpointError(
            f"{path} is a zip archive, but not one of torch's (it holds {holds}); give the file inside"
        )
    return outlines


def _hazard(outline: Outline) -> str | None:
    if outline.size > _MAX_SIZE or outline.depth > _MAX_DEPTH:
        return "its pickle shares tuples within tuples so often that reading it would never end"
    for call in outline.calls:
        arguments = call.arguments.items if isinstance(call.arguments, Items) else None
        if isinstance(call.of, Name) and not _harmless(call.of, arguments):
            return f"it calls {call.of} as no checkpoint does"
    return None


def _harmless(called: Name, arguments: list[Any] | None) -> bool:
    """Whether what torch admits is called as torch's and Python's own picklers write it."""
    name = called.replace("__builtin__.", "builtins.", 1)
    if name == "_codecs.encode":  # how bytes are written; other codecs can double a text each time
        return arguments is not None and arguments[1:] == ["latin1"] and _is_bytes(arguments[0])
    if name == "builtins.bytearray":  # of a number, it takes that much memory
        return arguments is not None and all(_is_bytes(each) for each in arguments)
    if name == "torch._tensor._rebuild_from_type_v2":  # it calls its first argument
        first = arguments[0] if arguments else None
        return isinstance(first, Name) and first.startswith("torch._utils._rebuild_")
    if name.startswith("torch.") and name.endswith(("Tensor", "Storage")):  # of a number, or of nested lists
        return arguments == []
    return True


def _is_bytes(value: Any) -> bool:
    return type(value) in (str, bytes) or (isinstance(value, Call) and value.of == "_codecs.encode")
