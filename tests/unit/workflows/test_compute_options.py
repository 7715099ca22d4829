"""One object holds the options of a map: checked once, the same in Python, in commands and in files."""

import dataclasses
import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
from small_networks import SmallNet, noise_images, seeded

import erfscope
from erfscope.cli.compute_command import compute_command
from erfscope.errors import ComputeError
from erfscope.workflows.compute import runner
from erfscope.workflows.compute.options import ComputeOptions

FIELDS = {each.name: each for each in dataclasses.fields(ComputeOptions)}
#: One value of each option that is not its default.
OTHERS = {
    "formula": "luo2016", "target": 1, "unit": (3, 4), "resize": False, "precision": "float64",
    "device": "cpu", "batch_size": 2, "workers": 0, "replicates": 9, "max_skipped": 0.5, "seed": 7,
    "engine": "dense", "shard": (1, 3), "until": 0.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formula": "mean"}, "no formula is called 'mean'; expected paper, replknet, openerf, luo2016"),
        ({"precision": "float16"}, "no precision is called 'float16'; expected float32, float64"),
        ({"engine": "graph"}, "no engine is called 'graph'; expected auto, dense"),
        ({"batch_size": 0}, "at least one image, not 0"),
        ({"batch_size": "many"}, "batch size 'many': expected a number of images or 'auto'"),
        ({"workers": -1}, "workers -1: expected a whole number, at least 0"),
        ({"replicates": -1}, "replicates -1"),
        ({"seed": -1}, "seed -1"),
        ({"max_skipped": 1.5}, "max_skipped 1.5: expected a share from 0 to 1"),
        ({"max_skipped": float("nan")}, "max_skipped nan"),
        ({"shard": (4, 4)}, "there is no shard 4/4"),
        ({"until": 0.0}, "a relative error such as 0.01, not 0"),
        ({"until": float("nan")}, "a relative error such as 0.01, not nan"),
        ({"until": 0.1, "shard": (0, 2)}, "no shard sees"),
        ({"until": 0.1, "replicates": 4}, "needs 8 image groups"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(options, message):
    with pytest.raises(ComputeError) as raised:
        ComputeOptions(**options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_options_that_decide_numbers_are_marked():
    assert set(ComputeOptions().decisive()) == set(FIELDS) - {"device", "workers", "max_skipped"}
    for name, value in OTHERS.items():
        changed = {"until": None} | {name: value}
        differs = ComputeOptions(**changed).decisive() != ComputeOptions().decisive()
        assert differs == FIELDS[name].metadata.get("decides_numbers", False), name


def test_json_form_gives_the_options_back():
    options = ComputeOptions(**(OTHERS | {"until": None}))
    assert ComputeOptions.from_summary(json.loads(json.dumps(options.summary()))) == options
    assert ComputeOptions.from_summary({}) == ComputeOptions()
    counted = ComputeOptions(seed=np.int64(3), unit=(np.int64(1), np.int64(2)))
    assert json.dumps(counted.summary()) == json.dumps(ComputeOptions(seed=3, unit=(1, 2)).summary())


def test_compute_erf_has_the_same_options(monkeypatch):
    parameters = dict(inspect.signature(erfscope.compute_erf).parameters)
    for name in ("model", "images", "progress"):
        del parameters[name]
    assert {name: each.default for name, each in parameters.items()} == {
        name: each.default for name, each in FIELDS.items()
    }
    jobs = []
    monkeypatch.setattr(runner, "run_job", lambda job, progress: jobs.append(job))
    for change in ({"until": None}, {"shard": (0, 1)}):
        erfscope.compute_erf(seeded(SmallNet()), noise_images(1, (9, 9)), **(OTHERS | change))
        assert jobs[-1].options == ComputeOptions(**(OTHERS | change))


def test_the_command_line_has_the_same_options():
    """All but `resize`, for a command's networks give logits at full size."""
    parsed = compute_command.make_context("compute", ["--model", "fcn", "--data", "synthetic-leaves"]).params
    assert set(FIELDS) - set(parsed) == {"resize"}
    for name, each in FIELDS.items():
        if name not in ("resize", "shard"):  # the command's shard is None where torchrun may choose it
            assert parsed[name] == each.default, name


def test_map_records_the_options_as_they_took_effect():
    erf = erfscope.compute_erf(seeded(SmallNet()), noise_images(2, (9, 11)), formula="openerf", device="cpu")
    recorded = erf.provenance["options"]
    assert set(recorded) == set(FIELDS)
    assert (recorded["formula"], recorded["unit"], recorded["batch_size"]) == ("openerf", [4, 5], 1)
    assert (recorded["device"], recorded["workers"], recorded["shard"]) == ("cpu", 0, "0/1")
    again = ComputeOptions.from_summary(recorded)
    assert again.unit == (4, 5)


def test_options_import_no_torch():
    code = "import sys, erfscope.workflows.compute.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
