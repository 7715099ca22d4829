"""Looks through a torch file before torch's restricted unpickler reads it.

That unpickler runs nothing of a file, but it can be made to take all memory or all time: by names that it
admits (`bytearray`, codecs), by tuples that share their parts, by archives that unpack to far more than
themselves.
"""

import zipfile
from pathlib import Path
from typing import Any

from erfscope.checkpoints.files.archive import check_members
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

_ZIP = b"PK\x03\x04"
_MAGIC = 0x1950A86A20F9469CFC6C
# Torch's former format is five pickles: magic number, these, the content, the keys of its storages.
_BEFORE_CONTENT = ("version", "facts of the machine")
# Tuples of checkpoints are shapes and versions.
_MAX_SIZE, _MAX_DEPTH = 1_000_000, 200
#: Keys under which trainers keep a whole module.
MODULE_UNDER = ("model", "net", "network", "module", "ema", "model_ema")


def screen(path: Path) -> Any:
    """Return the outline of what a torch file holds.

    Raises
    ------
    CheckpointError
        Reading it would take all memory or time, or it is another pickle or archive.
    Exception
        It is neither, or damaged: whatever Python's readers of archives and pickles raise.
    """
    try:
        outlines = _outlines(path)
        hazard = next(filter(None, map(_hazard, outlines)), None)
    except TooLongError as error:
        hazard = f"{error}, more than any checkpoint"
    if hazard:
        raise CheckpointError(f"{path} is refused: {hazard}; get it from another source")
    return outlines[-1].result


def module_class(path: Path) -> str | None:
    """Name the class of the network where a torch file holds one whole, pickled, instead of tensors.

    Raises
    ------
    CheckpointError
        As `screen`.
    """
    try:
        content = screen(path)
    except CheckpointError:
        raise
    except Exception:  # no torch file, or damaged: its reader says why
        return None
    inner = [content.get(key) for key in MODULE_UNDER] if isinstance(content, Entries) else []
    modules = [each for each in (content, *inner) if isinstance(each, Call) and _is_module(each)]
    return str(modules[0].of) if modules else None


def _is_module(made: Call) -> bool:
    # As torch.nn.Module's __getstate__ has it, whatever the class.
    state = made.state if isinstance(made.state, Entries) else Entries()
    return isinstance(made.of, Name) and state.get("_modules") is not None


def _outlines(path: Path) -> list[Outline]:
    """Of all pickles that torch would read, the content's last."""
    with path.open("rb") as file:
        if file.read(len(_ZIP)) == _ZIP:
            return _archived(path)
        file.seek(0)
        outlines = [read_outline(file)]
        if outlines[0].result != _MAGIC:
            raise CheckpointError(
                f"{path} is refused: it is a pickle, but not one of torch's "
                f"(it names {', '.join(outlines[0].names[:2]) or 'nothing'}); expected .pth or .safetensors"
            )
        outlines += [read_outline(file) for _ in _BEFORE_CONTENT]
        content = read_outline(file)
        return [*outlines, read_outline(file), content]


def _archived(path: Path) -> list[Outline]:
    outlines = []
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        check_members(path, members)
        for member in members:
            if member.filename.endswith("data.pkl"):
                with archive.open(member) as file:
                    outlines.append(read_outline(file))
    if not outlines:
        raise CheckpointError(_packed(path, [member.filename for member in members]))
    return outlines


def _packed(path: Path, names: list[str]) -> str:
    holds = ", ".join(names[:3]) or "nothing"
    return f"{path} is a zip archive, but not one of torch's (it holds {holds}); give the file inside"


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
