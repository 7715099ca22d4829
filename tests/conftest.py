"""Which tests a run takes, what the machine may not decide, and networks and maps that many tests share."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
from small_networks import SmallNet, noise_images, seeded
from torch import nn

import erfscope
from erfscope.engine.facts import find_facts
from erfscope.engine.plan import capture_unit_map
from erfscope.records.erf_map import ErfMap

mpl.use("agg")

TESTS = Path(__file__).parent
#: `make test` runs these folders but for tests marked `slow`; of the others only those marked
#: `representative`. `make test-rest` runs what it leaves, `make test-all` everything.
FAST_FOLDERS = ("unit",)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", choices=("fast", "rest", "all"), default="all", help="which tests to run")


def is_fast(test: pytest.Item) -> bool:
    if test.get_closest_marker("slow"):
        return False
    folder = test.path.relative_to(TESTS).parts[0]
    return folder in FAST_FOLDERS or test.get_closest_marker("representative") is not None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tier = config.getoption("tier")
    if tier == "all":
        return
    left_out = [test for test in items if is_fast(test) != (tier == "fast")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [test for test in items if is_fast(test) == (tier == "fast")]


#: What a terminal, a shell, a batch system or a user's own settings would tell the program under test.
FOREIGN = (
    "COLUMNS",
    "LINES",
    "NO_COLOR",
    "FORCE_COLOR",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
    "ERFSCOPE_DATA",
)


@pytest.fixture(scope="session", autouse=True)
def _any_machine() -> Iterator[None]:
    """Take away what differs between machines: the terminal's size, the time zone, the language, `nohup`."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name in FOREIGN or name.startswith(("SLURM_", "SBATCH_", "LC_")):
                patch.delenv(name)
        patch.setenv("COLUMNS", "80")
        patch.setenv("TERM", "xterm")
        patch.setenv("LANG", "C.UTF-8")
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Handle Ctrl-C as Python does: `nohup` and a shell's `&` have it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def small_net() -> nn.Module:
    return seeded(SmallNet()).train()  # in training mode, as a caller may have left it


@pytest.fixture(scope="session")
def small_map() -> ErfMap:
    """A map of a few images of 33×41 px, with replicates and provenance."""
    return erfscope.compute_erf(seeded(SmallNet()), noise_images(20, (33, 41)))


def once(function):
    """Remember what a function of a network and an image finds, for each precision of the image."""
    found = {}

    def remembered(unit_map, image):
        key = (unit_map.model, unit_map.layer, unit_map.resize, image.shape, image.dtype)
        if key not in found:
            found[key] = function(unit_map, image)
        return found[key]

    return remembered


@pytest.fixture
def captured_once(monkeypatch):
    """Find a network's facts and capture it once a precision, where both engines compute its map."""
    facts, graph = once(find_facts), once(capture_unit_map)
    monkeypatch.setattr("erfscope.engine.plan.find_facts", facts)
    monkeypatch.setattr("erfscope.engine.plan.capture_unit_map", graph)
    return facts, graph


@pytest.fixture
def predicted_from_it(captured_once, monkeypatch):
    """Predict from the graph in float64 that gave the map; predictions read no weights."""
    facts, graph = captured_once
    module = "erfscope.workflows.predict_fov"
    monkeypatch.setattr(f"{module}.find_facts", lambda network, image: facts(network, image.double()))
    monkeypatch.setattr(f"{module}.capture_unit_map", lambda network, image: graph(network, image.double()))
