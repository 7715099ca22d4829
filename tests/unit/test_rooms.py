"""Which room of the package may import which, who runs without torch, and which calls have one place only."""

import ast
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

from erfscope.cli.main import COMMANDS

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
    # The zoo's for its resizing.
    "scores": {"datasets", "errors", "model", "records", "system", "zoo"},
    "train": {"checkpoints", "datasets", "engine", "errors", "records", "scores", "system", "zoo"},
    "measure": {"errors", "records", "theory"},
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

#: Modules that are imported by their names. `ErfMap.save` and `.plot`, which notebooks type, reach upward.
BY_NAME = {
    "records/erf_map.py": {"erfscope.store.write", "erfscope.workflows.maps"},
    "cli/main.py": {module for module, _ in COMMANDS.values()},
}

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
def nodes():
    """Parse every file once: its names, calls and imports, by its path in the package."""
    kinds = (ast.Import, ast.ImportFrom, ast.Name, ast.Attribute, ast.Call, ast.Constant)
    return {
        path.relative_to(PACKAGE).as_posix(): [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)
        ]
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def imported(path):
    """Return the full names that a file imports; `from erfscope import x` imports erfscope.x."""
    names = set()
    for node in nodes()[path]:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "erfscope":
            names |= {f"erfscope.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def dotted(node):
    """Return `os.environ` for that expression; "" for anything but names and attributes."""
    if isinstance(node, ast.Name):
        return node.id
    before = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if before else ""


def names_of(node):
    """Return the full names that a node stands for, `os.environ` also where it is imported from os."""
    if isinstance(node, ast.ImportFrom):
        return {f"{node.module}.{alias.name}" for alias in node.names}
    return {dotted(node)}


def users(*names):
    """Return the files that use one of these names."""
    return {path for path in nodes() for node in nodes()[path] if names_of(node) & set(names)}


def keywords():
    """Yield path, function and keyword of every keyword argument."""
    for path in nodes():
        for node in nodes()[path]:
            if isinstance(node, ast.Call):
                yield from ((path, dotted(node.func), keyword) for keyword in node.keywords)


def test_rooms_import_only_what_is_listed():
    edges = defaultdict(set)
    for path in nodes():
        if path not in FACADE:
            room = path.partition("/")[0].removesuffix(".py")
            own = (name for name in imported(path) if name.partition(".")[0] == "erfscope")
            edges[room] |= {f"{name}.".split(".")[1] for name in own}
    found = {room: targets - {room} for room, targets in edges.items()}
    assert found == ALLOWED


def test_what_is_imported_by_its_name_is_listed():
    modules = {f"erfscope.{path.removesuffix('.py').replace('/', '.')}" for path in nodes()}
    named = {
        path: {
            node.value for node in nodes()[path] if isinstance(node, ast.Constant) and node.value in modules
        }
        for path in nodes()
    }
    assert {path: names for path, names in named.items() if names} == BY_NAME


def test_rooms_are_in_layers():
    rooms = list(ALLOWED)
    upward = {
        (room, other)
        for room, others in ALLOWED.items()
        for other in others
        if rooms.index(other) >= rooms.index(room)
    }
    assert not upward


def test_imports_are_absolute():
    assert not {path for path in nodes() if any(name.startswith(".") for name in imported(path))}


def test_rooms_that_need_no_torch_import_none():
    modules = [
        "erfscope." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in nodes()
        if path.partition("/")[0].removesuffix(".py") in TORCH_FREE_ROOMS
    ]
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    code += "    assert 'torch' not in sys.modules, name"
    command = [sys.executable, "-c", code, *modules, *TORCH_FREE_MODULES]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_system_tells_which_modules_need_torch():
    told = ast.get_docstring(ast.parse((PACKAGE / "system" / "__init__.py").read_text()))
    free, _, others = told.partition("These import torch:")
    modules = {path.split("/")[1].removesuffix(".py") for path in nodes() if path.startswith("system/")}
    torch_free = {name.rpartition(".")[2] for name in TORCH_FREE_MODULES}
    assert {name for name in modules if f"- `{name}`:" in free} == torch_free
    assert {name for name in modules if f"- `{name}`:" in others} == modules - torch_free - {"__init__"}


def test_one_module_reads_the_environment():
    names = ("os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv")
    assert users(*names) == {"system/environment.py"}


def test_torch_loads_in_few_places_and_without_running_code():
    loads = {
        (path, keyword.value.value)
        for path, function, keyword in keywords()
        if function == "torch.load" and keyword.arg == "weights_only"
    }
    assert loads == set(TORCH_LOAD.items())
    assert users("torch.load") == set(TORCH_LOAD)


def test_nothing_unpickles_by_itself():
    picklers = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    assert not {path for path in nodes() for name in imported(path) if name.split(".")[0] in picklers}
    allowing = {
        path
        for path, _, keyword in keywords()
        if keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True)
    }
    assert not allowing


def test_no_text_is_run_as_code():
    assert not users("eval", "exec", "compile", "__import__", "os.system", "os.popen")
