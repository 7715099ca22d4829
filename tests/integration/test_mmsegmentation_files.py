"""The command line on checkpoints of mmsegmentation."""

import pytest
from mmsegmentation_files import build, write


def test_compute_crops_and_normalizes_as_trained(run, here):
    write(here / "deeplabv3_r18.pth", build())
    done = run(
        "compute", "--model", "deeplabv3_r18.pth", "--data", "synthetic-leaves", "--images", 2, "--json"
    )
    assert done.code == 0, done.err
    assert done.json["size"] == [64, 96]
    assert done.json["dataset"]["mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert done.json["weights"]["missing"] == 0
    assert done.json["network"]["name"] == "deeplabv3"
    assert "random" not in done.err
    star = run("star-distance", "erf.h5", "--json").json["results"][0]
    assert star["predicted_center_to_center_px"] == 2 * 18 * 16
    assert run("plot", "erf.h5", "--out", "erf.png").code == 0


def test_options_for_a_checkpoint(run, here):
    write(here / "w.pth", build())
    done = run("predict", "--model", "w.pth", "--size", 96, "--output-stride", 8, "--json")
    assert done.json["rates"] == [12, 24, 36]
    done = run("predict", "--model", "w.pth", "--backbone", "resnet18")
    assert done.code == 2
    assert "--backbone can't be changed: the file says what network it is" in done.err


def test_settings_of_a_network(run):
    options = ["--backbone", "resnet18", "--size", 97]
    for setting, code in (
        ("low_level_channels=8", 0),
        ("low-level-channels=8", 0),
        ("nothing=1", 2),
        ("x", 2),
    ):
        assert run("predict", "--model", "deeplabv3plus", "-O", setting, *options).code == code
