"""The other commands, and the manners that all of them share."""

import json
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

import erfscope
from erfscope import __version__
from erfscope.cli.main import COMMANDS
from erfscope.zoo.catalog.entries import CATALOG

pytestmark = pytest.mark.representative


@pytest.fixture
def map_file(here, small_map):
    small_map.save("erf.h5")
    return here / "erf.h5"


def test_help_names_every_command_and_imports_nothing_heavy():
    script = (
        "import sys; from erfscope.cli.main import main\n"
        "try: main(['--help'])\n"
        "finally: print([m for m in ('torch', 'numpy', 'h5py', 'rich', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for command in COMMANDS:
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_commands_help(run, command):
    result = run(command, "--help")
    assert result.code == 0
    assert "--json" in result.out
    assert "-q, --quiet" in result.out


def test_python_dash_m():
    done = subprocess.run(
        [sys.executable, "-m", "erfscope", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"erfscope, version {__version__}"


def test_unknown_command(run):
    result = run("computer")
    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["star-distance", "fit-gaussian", "plot", "inspect"])
def test_without_a_map_the_remedy_is_named(run, command):
    result = run(command)
    assert result.code == 2
    assert "erf.h5 does not exist; make one with 'erfscope compute'" in result.err


@pytest.mark.parametrize("command", ["star-distance", "fit-gaussian", "plot", "inspect"])
def test_json_alone_on_stdout(run, map_file, command):
    result = run(command, "--json")
    assert result.code == 0, result.err
    assert isinstance(result.json, dict)


def test_star_distance_keys(run, map_file):
    (result,) = run("star-distance", "--json").json["results"]
    assert set(result) >= {
        "file", "pattern", "center", "center_to_center_px", "center_to_center_stderr_px", "systematic_px",
        "end_to_end_convention_px", "end_to_end_measured_px", "blob_fwhm_px", "rings", "arms", "score",
        "predicted_center_to_center_px", "relative_error", "flags", "flag_codes",
    }  # fmt: skip
    assert set(result["center"]) == {"y_px", "x_px"}


def test_fit_gaussian_keys(run, map_file):
    (result,) = run("fit-gaussian", "--json", "--shape", "rotated").json["results"]
    assert result["model"] == "rotated"
    assert set(result) >= {
        "file", "x0_px", "y0_px", "sigma_x_px", "sigma_y_px", "theta_deg", "amplitude", "offset", "stderr",
        "r_squared", "r_squared_smoothed", "study", "shift_from_projected_center", "flags", "flag_codes",
    }  # fmt: skip
    assert result["study"]["offset"] == 0


def test_several_files(run, map_file, small_map):
    small_map.save("two.h5")
    results = run("star-distance", "erf.h5", "two.h5", "--json").json["results"]
    assert [result["file"] for result in results] == ["erf.h5", "two.h5"]


def test_inspect_tells_what_is_inside(run, map_file):
    summary = run("inspect", "--json").json
    assert (summary["images"], summary["size"]) == (20, [33, 41])
    assert len(summary["image_list"]) == 20
    assert summary["weights"]["source"] == "as given"
    assert 0.05 <= summary["largest_image_share"] < 1
    table = run("inspect").out
    assert "engine.mode" not in table
    assert "engine.mode" in run("inspect", "-v").out


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["log", "linear", "power"])
@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_plot(run, map_file, scale, suffix):
    result = run("plot", "--scale", scale, "--out", f"figure{suffix}", "--json")
    assert result.code == 0, result.err
    assert result.json["out"] == f"figure{suffix}"
    content = (map_file.parent / f"figure{suffix}").read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}[suffix])
    if suffix == ".png":
        assert len(np.unique(plt.imread(map_file.parent / "figure.png")[::4, ::4])) > 100


def test_plot_refuses_what_it_cannot(run, map_file):
    assert run("plot").out.strip() == "erf.png"
    assert "exists already" in run("plot").err
    assert run("plot", "--overwrite").code == 0
    assert "expected one of .png" in run("plot", "--out", "x.jpg").err
    assert "is not one of 'log', 'linear', 'power'" in run("plot", "--scale", "cubic", "--out", "y.png").err


def test_import_measure_export(run, here):
    array = np.random.default_rng(0).random((16, 40, 50)).astype(np.float32)
    np.save("parts.npy", array)
    answer = run("import", "parts.npy", "map.h5", "--unit", "10,20", "--json").json
    assert (answer["size"], answer["replicates"]) == ([40, 50], 16)
    assert run("export", "map.h5", "sum.npy").code == 0
    np.testing.assert_allclose(np.load("sum.npy"), array.astype(float).sum(0), rtol=1e-15)
    erf = erfscope.load_erf("map.h5")
    assert (erf.unit.y, erf.unit.x) == (10, 20)
    assert "weights unknown" in erf.weights_label
    for command in ("star-distance", "fit-gaussian", "plot", "inspect"):
        assert run(command, "map.h5").code == 0
    assert "no pixel" in run("import", "parts.npy", "b.h5", "--unit", "layer4").err
    assert "exists already" in run("import", "parts.npy", "map.h5").err
    assert run("import", "nothing.npy", "c.h5").code == 2


@pytest.mark.slow
def test_models_and_datasets(run):
    models = {model["name"]: model for model in run("models", "--json").json["models"]}
    assert set(models) == set(CATALOG)
    # The counts that torchvision publishes, less its auxiliary head: a 3×3 convolution from 1024 to 256
    # channels, its norm, and a classifier of 21.
    auxiliary = 1024 * 256 * 9 + 2 * 256 + 256 * 21 + 21
    assert models["torchvision-deeplabv3"]["parameters"] == 42_004_074 - auxiliary
    assert models["torchvision-fcn"]["parameters"] == 35_322_218 - auxiliary
    datasets = {row["name"]: row for row in run("datasets", "--json").json["datasets"]}
    assert datasets["cityscapes"]["size"] == [769, 769]
    assert datasets["cityscapes"]["classes"] == 19
    assert datasets["ade20k"]["size"] == [512, 512]
    assert datasets["voc2012"]["size"] == [513, 513]
    assert not datasets["synthetic-leaves"]["needs_root"]
    for command in ("models", "datasets"):
        rows = [line for line in run(command).out.splitlines() if line.strip()]
        assert len(rows) > 5


def test_recommend(run):
    answer = run("recommend", "--size", "769", "--stride", "8", "--json").json
    assert set(answer) == {"size", "stride", "rate", "rate_rounded", "rates"}
    assert answer["rates"] == [15, 30, 45]
    assert "15, 30, 45" in run("recommend", "--size", "769", "--stride", "8").out
    assert run("recommend", "--size", "40", "--stride", "16").code == 2


@pytest.mark.slow
def test_bench(run):
    args = ("bench", "--model", "small_networks:SmallNet", "--size", "65x97", "--repeats", "1")
    answer = run(*args, "--json").json
    assert answer["engine"]["mode"] == "graph"
    assert 0 < answer["engine"]["flops_needed"] < answer["engine"]["flops_dense"]
    for name in ("plan_seconds", "seconds", "plain_seconds", "ratio", "convolution_seconds", "peak_flops"):
        assert answer[name] > 0
    assert answer["ratio"] == pytest.approx(answer["plain_seconds"] / answer["seconds"])
    assert "share of the peak" in run(*args).out


@pytest.mark.slow
def test_demo(run, here):
    answer = run("demo", "--images", "1", "--size", "97", "--out", "d", "--json").json
    assert set(answer) >= {"map", "figures", "star", "gaussian", "images", "seconds"}
    for name in (answer["map"], *answer["figures"]):
        assert (here / name).stat().st_size > 1000
    assert run("demo", "--images", "1", "--size", "97", "--out", "d").code == 2


@pytest.mark.slow
def test_quiet_and_progress(run):
    args = (
        "compute",
        "--model",
        "fcn",
        "--backbone",
        "resnet18",
        "--data",
        "synthetic-leaves",
        "--size",
        "33",
    )
    loud = run(*args, "--images", "2", "--out", "a.h5")
    assert re.search(r"fcn: 2/2 images, [\d.]+ images/s", loud.err)
    assert "map" in loud.out
    quiet = run(*args, "--images", "2", "--out", "b.h5", "-q")
    assert quiet.out == ""
    assert quiet.err.startswith("warning: fcn has random weights")
    assert len(quiet.err.splitlines()) == 1


def test_interruption_leaves_nothing(run, here, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("erfscope.engine.accumulation._add_batch", interrupt)
    result = run(
        "compute", "--model", "fcn", "--backbone", "resnet18", "--data", "synthetic-leaves", "--size", "33"
    )
    assert result.code == 75  # a second Ctrl-C: what was kept before it stays
    assert "ended at once; --resume goes on from what was saved" in result.err
    assert not list(here.iterdir())
    monkeypatch.setattr("erfscope.workflows.maps.read_map", interrupt)
    result = run("plot", "erf.h5")
    assert result.code == 130
    assert "interrupted; nothing was written" in result.err


@pytest.mark.slow
def test_passive_waiting_is_set_before_torch_comes(monkeypatch):
    script = (
        "import os, sys; from erfscope.cli.main import main\n"
        "try: main(['predict', '--model', 'none', '-q'])\n"
        "finally: print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["PASSIVE", "True"]
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["ACTIVE", "True"]


def test_json_never_holds_nan(run, here):
    np.save("point.npy", np.eye(40) * 1e-300)
    assert run("import", "point.npy", "p.h5").code == 0
    for command in ("star-distance", "fit-gaussian", "inspect"):
        result = run(command, "p.h5", "--json")
        assert result.code == 0, result.err
        json.loads(result.out, parse_constant=lambda name: pytest.fail(name))


NETWORK = ("--model", "deeplabv3", "--backbone", "resnet18")


def test_predict(run):
    found = json.loads(run("predict", *NETWORK, "--size", "257x321", "--json").out)
    assert {
        "model", "size", "output_stride", "read_stride", "rates", "projected_center", "lattice",
        "center_to_center_px", "end_to_end_convention_px", "valid_tap_fraction", "theoretical_rf_px",
        "theoretical_rf_without_global_px", "recommended_rate", "recommended_rates", "flags", "flag_codes",
    } <= set(found)  # fmt: skip
    assert (found["center_to_center_px"], found["rates"], found["read_stride"]) == (576, [12, 24, 36], 8)
    assert found["projected_center"] == {"y_px": 128, "x_px": 160}
    assert "star" in run("predict", *NETWORK, "--size", "257").out


def test_a_map_knows_its_prediction(run, here):
    data = ("--data", "synthetic-leaves", "--images", "2", "--size", "96", "--out", "small.h5")
    assert run("compute", *NETWORK, *data, "--rates", "1,2,3", "--output-stride", "16").code == 0
    (result,) = json.loads(run("star-distance", "small.h5", "--json").out)["results"]
    assert result["predicted_center_to_center_px"] == 96
    measured = result["center_to_center_px"]
    assert result["relative_error"] == (None if measured is None else (measured - 96) / 96)
    facts = json.loads(run("inspect", "small.h5", "--json").out)
    assert facts["prediction"]["projected_center"] == {"y_px": 40.5, "x_px": 40.5}  # 48 − 15/2


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_examples_in_help_stand_on_lines_of_their_own(run, command):
    text = run(command, "--help").out
    assert "\\b" not in text
    assert all(line.count(f"erfscope {command} ") <= 1 for line in text.splitlines())
