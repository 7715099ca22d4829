"""Reads the code in a TorchScript archive, before torch compiles it, for what is no business of a network.

TorchScript is no Python: it has tensors, numbers, and the operators of torch and of libraries that were
loaded. But some of those reach out of the network, and an archive may run code while it is loaded.
"""

import ast
import zipfile
from collections.abc import Iterator
from pathlib import Path

from erfscope.checkpoints.files.archive_scan import check_members
from erfscope.checkpoints.files.pickle_scan import read_outline
from erfscope.errors import CheckpointError

# Where the code gets torch's own operators from: `torch.relu(…)`, `ops.prim.data(…)`.
_OWN_OPERATORS = ("aten", "prim")
# Of all operators of torch 2.13, by their schemas: those that take the name of a file, or talk to others.
_REACHING_OUT = {"from_file", "save", "load", "rpc_async", "rpc_sync", "rpc_remote", "PythonOp"}
# Methods that loading calls.
_RUN_WHEN_LOADED = {"__setstate__"}
_MAX_CODE = 20_000_000  # bytes
_MAX_DEPTH = 200


def find_suspicious(path: Path) -> str | None:
    """Say what in the code reaches out of the network, or runs when it is loaded; None if nothing does.

    Raises
    ------
    CheckpointError
        The archive is damaged, or its code is none.
    """
    return next(
        (found for name, text in _codes(path) for found in _suspicious(_parse(path, name, text))), None
    )


def loops_while(path: Path) -> bool:
    """Whether the code has a loop that may be endless."""
    return any(
        isinstance(node, ast.While)
        for name, text in _codes(path)
        for node in ast.walk(_parse(path, name, text))
    )


def _codes(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(path, archive.infolist())
            for member in archive.infolist():
                if member.filename.endswith(("/data.pkl", "/constants.pkl")):
                    with archive.open(member) as file:
                        _check_depth(path, read_outline(file).depth)
                if "/code/" in member.filename and member.filename.endswith(".py"):
                    if member.file_size > _MAX_CODE:
                        raise CheckpointError(f"{path}: {member.filename} is too long for a network's code")
                    yield member.filename, archive.read(member).decode()
    except CheckpointError:
        raise
    except Exception as error:  # of zipfile, zlib, struct: whatever a damaged archive makes them raise
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(
            f"{path} is cut off or damaged ({reason}); download or copy it again"
        ) from error


def _check_depth(path: Path, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise CheckpointError(f"{path} is refused: its pickle nests tuples {depth} deep; get it elsewhere")


def _parse(path: Path, name: str, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError(
            f"{path} is refused: {name} in it is no code that TorchScript writes ({type(error).__name__}); "
            "get it from another source"
        ) from error


def _suspicious(code: ast.Module) -> Iterator[str]:
    for node in ast.walk(code):
        if isinstance(node, ast.FunctionDef) and node.name in _RUN_WHEN_LOADED:
            yield f"runs code while it is loaded ({node.name})"
        elif isinstance(node, ast.Attribute):
            yield from _suspicious_name(_dotted(node))


def _suspicious_name(name: list[str]) -> Iterator[str]:
    match name:
        case ["torch", operator] if operator in _REACHING_OUT:
            yield f"calls aten::{operator}, which reaches out of the network"
        case ["ops", library, operator] if library not in _OWN_OPERATORS:
            yield f"calls {library}::{operator}, which is no operator of torch's own"
        case ["ops", library, operator] if operator in _REACHING_OUT:
            yield f"calls {library}::{operator}, which reaches out of the network"
        case ["__torch__", "torch", "classes", *rest]:
            yield f"holds an object of C++ code, {'.'.join(rest)}"


def _dotted(node: ast.expr) -> list[str]:
    """`a.b.c` → [a, b, c]; empty for the attribute of anything but a name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else []
