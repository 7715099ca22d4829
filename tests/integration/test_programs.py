"""Networks that come as programs or as the user's code, through the command line."""

import sys

import pytest
import torch
from small_networks import SmallNet, seeded

CODE = """
from small_networks import SmallNet, seeded

def build(classes=4):
    return seeded(SmallNet(classes)), {"size": (33, 41), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

def broken():
    return 1 / 0
"""
IMAGES = ("--data", "synthetic-leaves", "--images", "2", "--json", "--overwrite")


@pytest.fixture
def network():
    return seeded(SmallNet()).eval()


@pytest.fixture
def code(here):
    (here / "my_networks.py").write_text(CODE)
    yield
    sys.modules.pop("my_networks", None)
    sys.path[:] = [each for each in sys.path if each != str(here)]


def compute(run, *args):
    result = run("compute", *args, *IMAGES)
    assert result.code == 0, result.err
    return result.json


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_runs_dense_and_says_why(run, here, network):
    torch.jit.script(network).save("w.pt")
    facts = compute(run, "--model", "w.pt", "--size", "33")
    assert facts["engine"]["mode"] == "dense"
    assert facts["engine"]["reason"] == "the network is TorchScript, of which no graph can be captured"
    assert facts["network"]["format"] == "TorchScript archive"
    inspected = run("inspect", "w.pt", "--json").json
    assert (inspected["format"], inspected["num_classes"]) == ("TorchScript archive", 4)
    assert inspected["weights"]["sha256"] == facts["weights"]["sha256"]


def test_an_exported_program_brings_its_size(run, here, network):
    torch.export.save(torch.export.export(network, (torch.zeros(1, 3, 33, 41),)), "w.pt2")
    facts = compute(run, "--model", "w.pt2", "--trust")
    assert facts["size"] == [33, 41]
    assert facts["engine"]["mode"] == "graph"
    refused = run("compute", "--model", "w.pt2", *IMAGES)
    assert refused.code == 2
    assert "w.pt2 is an exported program" in refused.err
    wrong = run("compute", "--model", "w.pt2", "--trust", "--size", "65", *IMAGES)
    assert wrong.code == 2
    assert "give --size 33x41" in wrong.err
    assert len(wrong.err.splitlines()) == 1


def test_code_of_the_current_folder(run, here, code):
    facts = compute(run, "--model", "my_networks:build", "-O", "classes=3")
    assert facts["size"] == [33, 41]
    assert facts["dataset"]["mean"] == [0.5, 0.5, 0.5]
    assert facts["network"]["options"] == {"classes": 3}
    assert facts["weights"]["label"] == "as given"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("my_networks:broken", "my_networks.py, line 8 (ZeroDivisionError: division by zero); mend it there"),
        ("my_networks:gone", "my_networks has no function gone"),
        ("my_network:build", "there is no module my_network"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(run, here, code, spec, told):
    result = run("compute", "--model", spec, *IMAGES)
    assert result.code == 2
    assert told in result.err
    assert len(result.err.splitlines()) == 1
