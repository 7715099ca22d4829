"""Formats, networks and datasets that another package brings, installed as pip would install it."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import erfscope

PACKAGE = Path(__file__).parents[1] / "helpers" / "plugin_package"


def install(folder, name, entry_points, **modules):
    """Write what pip leaves in site-packages."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    for module, code in modules.items():
        (folder / f"{module}.py").write_text(code)


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield tmp_path / "site"
    for module in ("erfscope_example", "broken_example"):
        sys.modules.pop(module, None)


@pytest.fixture
def example(site):
    code = (PACKAGE / "erfscope_example.py").read_text()
    install(site, "erfscope-example", (PACKAGE / "entry_points.txt").read_text(), erfscope_example=code)


@pytest.fixture
def numbers(here):
    """A file of the plug-in's format, and the network that it holds."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 2, 5, stride=2, padding=2), nn.ReLU()).eval()
    lists = {f"convolution.{name}": tensor.tolist() for name, tensor in network[0].state_dict().items()}
    (here / "w.numbers").write_text(json.dumps(lists))
    return network


def compute(run, *args):
    result = run("compute", *args, "--json", "--overwrite")
    assert result.code == 0, result.err
    return result.json


def test_a_network_and_a_dataset(run, here, example):
    facts = compute(run, "--model", "example-blur", "--data", "example-ramps", "-O", "channels=3")
    assert facts["network"]["name"] == "example-blur"
    assert facts["network"]["format"] == "plug-in network"
    assert facts["network"]["options"] == {"channels": 3}
    assert facts["weights"]["source"] == "as given"
    # What the network says of its images reaches the dataset.
    assert facts["size"] == [48, 48]
    assert facts["images"] == 5
    assert facts["dataset"]["name"] == "example-ramps"
    assert facts["dataset"]["mean"] == [0.5, 0.5, 0.5]
    seeded = erfscope.load_model("example-blur").state_dict()["network.convolution.weight"]
    again = erfscope.load_model("example-blur", seed=0).state_dict()["network.convolution.weight"]
    other = erfscope.load_model("example-blur", seed=1).state_dict()["network.convolution.weight"]
    assert torch.equal(seeded, again)
    assert not torch.equal(seeded, other)


def test_a_format(run, here, example, numbers):
    facts = run("inspect", "w.numbers", "--json").json
    assert (facts["format"], facts["detected_by"]) == ("plug-in numbers", "its suffix .numbers")
    assert facts["weights"]["matched"] == 2
    assert facts["parameters"] == 2 * 3 * 25 + 2
    compute(run, "--model", "w.numbers", "--data", "example-ramps", "--images", "2")
    images = erfscope.open_dataset("example-ramps", images=2)
    assert [sample.name for sample in images] == ["ramp-0", "ramp-1"]
    theirs = erfscope.compute_erf(numbers, images)
    # Two loads of the weights: float32 kernels may round otherwise where tensors lie otherwise.
    assert abs(erfscope.load_erf("erf.h5").erf - theirs.erf).max() <= 1e-5 * theirs.erf.max()


@pytest.mark.slow  # `models` counts every network's operations
def test_they_are_listed(run, here, example, monkeypatch):
    monkeypatch.setattr("erfscope.zoo.catalog.entries.list_networks", list)  # whose sizes take long to count
    assert run("datasets", "--json").json["plugins"] == ["example-ramps"]
    assert "plug-ins: example-ramps" in run("datasets").out
    assert run("models", "--json").json["plugins"] == ["example-blur"]
    assert "example-ramps" in run("compute", "--model", "fcn", "--data", "nothing").err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            ("--model", "example-blur", "--rates", "6,12"),
            "example-blur takes no --rates; its arguments are: channels",
        ),
        (("--model", "fcn", "--fit", "resize"), "example-ramps is a plug-in that takes no fit"),
        (("--model", "fcn", "--root", "."), "example-ramps is a plug-in that takes no root"),
    ],
)
def test_what_a_plugin_does_not_take(run, here, example, args, told):
    result = run("compute", "--data", "example-ramps", *args)
    assert result.code == 2
    assert told in result.err
    assert len(result.err.splitlines()) == 1


BROKEN = """
raise RuntimeError("built for\\nanother torch")
"""
FAILING = """
class Reader:
    def recognizes(request): raise ValueError("no suffix")
    def read(request): raise ValueError("broken\\nfile")
def network(): return "no network"
def dataset(): return [1, 2]
class Eager(Reader):
    def recognizes(request): return "its name" if request.spec == "w.eager" else None
"""


def broken(site, code):
    groups = {"checkpoints": "Reader", "networks": "network", "datasets": "dataset"}
    entries = "".join(
        f"[erfscope.{group}]\nbroken = broken_example:{name}\n" for group, name in groups.items()
    )
    install(site, "broken", entries, broken_example=code)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (BROKEN, "can't be imported (RuntimeError: built for another torch)"),
        ("import nowhere", "can't be imported (ModuleNotFoundError: No module named 'nowhere')"),
        ("raise SystemExit(3)", "can't be imported (SystemExit: 3)"),
        ("", "can't be imported (AttributeError: module 'broken_example' has no attribute 'Reader')"),
        (FAILING, "failed (ValueError: no suffix)"),
    ],
)
def test_a_broken_plugin_is_reported_and_otherwise_ignored(run, here, site, caplog, code, reason):
    broken(site, code)
    with caplog.at_level(logging.WARNING):
        result = run("predict", "--model", "fcn", "--backbone", "resnet18", "--size", "65")
    assert result.code == 0, result.err
    (record,) = caplog.records
    assert record.getMessage().count("\n") == 0
    assert "plug-in broken (erfscope.checkpoints) of the package broken" in record.getMessage()
    assert reason in record.getMessage()


def test_the_report_is_one_line_of_stderr(here, site):
    broken(site, BROKEN)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    result = subprocess.run(
        [sys.executable, "-m", "erfscope", "inspect", "gone.pth"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    first, second = result.stderr.splitlines()
    assert first.startswith("warning: plug-in broken (erfscope.checkpoints) of the package broken")
    assert second.startswith("erfscope: checkpoint gone.pth does not exist")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            ("--model", "broken", "--data", "synthetic-leaves"),
            "broken returned str; expected a torch.nn.Module",
        ),
        (
            ("--model", "fcn", "--data", "broken"),
            "broken is a plug-in that returned no erfscope.datasets.Sample",
        ),
    ],
)
def test_plugins_that_return_something_else(run, here, site, args, told):
    broken(site, FAILING)
    result = run("compute", *args)
    assert result.code == 2
    assert told in result.err
    assert len(result.err.splitlines()) == 1


def test_a_reader_that_fails(run, here, site):
    install(site, "broken", "[erfscope.checkpoints]\neager = broken_example:Eager\n", broken_example=FAILING)
    (here / "w.eager").write_text("")
    result = run("inspect", "w.eager")
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert (
        "plug-in eager (erfscope.checkpoints) of the package broken failed (ValueError: broken file)"
        in result.err
    )


def test_help_looks_nothing_up(run, here, site):
    broken(site, FAILING)
    assert run("--help").code == 0
    assert run("compute", "--help").code == 0
    assert "broken_example" not in sys.modules


def test_a_dataset_has_no_options_unless_it_takes_them(run, example):
    args = ("compute", "--model", "example-blur", "--data", "example-ramps", "--data-option", "slope=2")
    answer = run(*args)
    assert answer.code == 2
    assert "example-ramps is a plug-in that takes no options" in answer.err
    answer = run("datasets", "check", "example-ramps")
    assert answer.code == 2
    assert "example-ramps is a plug-in, which reads its files itself" in answer.err
