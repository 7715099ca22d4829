"""A module imports only from the rooms above its own; nobody reads the environment but one module."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "erfscope"
ORDER = [
    "errors", "system", "theory", "plugins", "records", "model", "zoo", "datasets", "checkpoints", "graph",
    "engine", "store", "scores", "train", "measure", "report", "batch", "workflows", "cli",
]  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_upward(path):
    if room(path) in ("__init__", "__main__"):
        return
    own = ORDER.index(room(path))
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "erfscope" and len(parts) > 1:
            assert ORDER.index(parts[1]) <= own, f"{path} imports {name}"


def test_records_and_measurements_need_no_torch():
    for path in FILES:
        if room(path) in ["errors", "theory", "plugins", "records", "store", "measure", "report", "batch"]:
            assert not any(name.split(".")[0] == "torch" for name in imports(path)), path


def test_one_place_reads_the_environment():
    readers = [path for path in FILES if "os.environ" in path.read_text() and path.name != "environment.py"]
    assert readers == []
