"""Which room of the package may import which, who runs without torch, and which calls have one place only."""

import ast
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "erfscope"

#: Room -> the rooms that it imports, each of them listed before it. An edge that is new, or gone, fails.
ALLOWED = {
    "errors": set(),
    "system": {"errors"},
    "theory": {"errors"},
    "plugins": {"errors"},
    "records": {"errors"},
    "model": {"errors", "records"},
    "zoo": {"errors", "model"},
    "datasets": {"errors", "plugins", "records", "system"},
    # Checkpoints end as networks of the zoo or of another library.
    "checkpoints": {"errors", "model", "plugins", "records", "zoo"},
    # Neither graph nor engine knows a network's name: no zoo, no checkpoints.
    "graph": {"records", "theory"},
    "engine": {"datasets", "errors", "graph", "model", "records", "system"},
    "store": {"errors", "records", "system"},
    # The engine's for `limited_threads`, the zoo's for its resizing.
    "scores": {"datasets", "engine", "errors", "model", "records", "system", "zoo"},
    "train": {"checkpoints", "datasets", "engine", "errors", "records", "scores", "system", "zoo"},
    "measure": {"errors", "records"},
    "report": {"errors", "records", "system", "theory"},
    # Lazily the catalogs of networks and datasets, to refuse a plan before it runs; of train, how a TOML
    # table becomes a dataclass.
    "batch": {
        "checkpoints", "datasets", "errors", "plugins", "records", "store", "system", "train", "zoo",
    },
    "workflows": {
        "checkpoints", "datasets", "engine", "errors", "graph", "measure", "model", "records", "report",
        "scores", "store", "system", "train", "zoo",
    },
    # What a single room answers needs no workflow: lists, recommend, export.
    "cli": {
        "batch", "datasets", "errors", "plugins", "records", "report", "store", "system", "theory", "train",
        "workflows", "zoo",
    },
}  # fmt: skip
FACADE = ("__init__.py", "__main__.py")

TORCH_FREE_ROOMS = ("errors", "theory", "plugins", "records", "store", "measure", "report", "batch", "cli")
TORCH_FREE_MODULES = tuple(
    f"erfscope.system.{name}" for name in ("atomic_files", "environment", "file_lock", "signals", "threads")
)

#: The only files that may call `torch.load`: of foreign weights and of our own state without running code,
#: and of whole networks with --trust.
TORCH_LOAD = {
    "checkpoints/files/weights_file.py": True,
    "train/train_state.py": True,
    "checkpoints/formats/pickled_reader.py": False,
}


@cache
def trees():
    """Parse every file once, by its path in the package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in paths}


def imported(tree):
    """Yield the full names of imported modules; `from erfscope import x` imports the room or the name x."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "erfscope":
                yield from (f"erfscope.{alias.name}" for alias in node.names)
            else:
                yield "." * node.level + (node.module or "")


def dotted(node):
    """Return `os.environ` for that expression; "" for anything but names and attributes."""
    if isinstance(node, ast.Name):
        return node.id
    before = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if before else ""


def uses(*names):
    """Return the files that name one of these, or import it from its module."""
    found = set()
    for path, tree in trees().items():
        for node in ast.walk(tree):
            from_module = (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if isinstance(node, ast.ImportFrom)
                else set()
            )
            if dotted(node) in names or from_module & set(names):
                found.add(path)
    return found


def test_rooms_import_only_what_is_listed():
    edges = defaultdict(set)
    for path, tree in trees().items():
        if path not in FACADE:
            room = path.partition("/")[0].removesuffix(".py")
            edges[room] |= {
                f"{name}.".split(".")[1] for name in imported(tree) if name.startswith("erfscope")
            }
    found = {room: targets - {room} for room, targets in edges.items()}
    assert found == ALLOWED


def test_rooms_are_in_layers():
    rooms = list(ALLOWED)
    assert not {
        (room, other)
        for room, others in ALLOWED.items()
        for other in others
        if rooms.index(other) >= rooms.index(room)
    }


def test_imports_are_absolute():
    assert not {path for path, tree in trees().items() if any(name[:1] == "." for name in imported(tree))}


def test_rooms_that_need_no_torch_import_none():
    modules = [
        "erfscope." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in trees()
        if path.partition("/")[0].removesuffix(".py") in TORCH_FREE_ROOMS
    ]
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    code += "    assert 'torch' not in sys.modules, name"
    command = [sys.executable, "-c", code, *modules, *TORCH_FREE_MODULES]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_system_tells_which_modules_need_torch():
    told = ast.get_docstring(trees()["system/__init__.py"])
    free, _, others = told.partition("These import torch:")
    modules = {path.split("/")[1].removesuffix(".py") for path in trees() if path.startswith("system/")}
    torch_free = {name.rpartition(".")[2] for name in TORCH_FREE_MODULES}
    assert {name for name in modules if f"- `{name}`:" in free} == torch_free
    assert {name for name in modules if f"- `{name}`:" in others} == modules - torch_free - {"__init__"}


def test_one_module_reads_the_environment():
    names = ("os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv")
    assert uses(*names) == {"system/environment.py"}


def test_torch_loads_in_few_places_and_without_running_code():
    calls = {
        (path, bool(keyword.value.value))
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) == "torch.load"
        for keyword in node.keywords
        if keyword.arg == "weights_only" and isinstance(keyword.value, ast.Constant)
    }
    assert calls == set(TORCH_LOAD.items())
    assert uses("torch.load") == set(TORCH_LOAD)


def test_nothing_unpickles_by_itself():
    picklers = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    assert not {
        path for path, tree in trees().items() if picklers & {n.split(".")[0] for n in imported(tree)}
    }
    allowing = {
        path
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", True)
    }
    assert not allowing


def test_no_text_is_run_as_code():
    assert not uses("eval", "exec", "compile", "__import__", "os.system", "os.popen")
