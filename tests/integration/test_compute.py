"""`erfscope compute` as people call it."""

import os
import re

import numpy as np
import pytest
import torch
from PIL import Image

import erfscope
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network

SMALL = ("--backbone", "resnet18", "--size", "65")


def compute(run, *args, model="deeplabv3", data="synthetic-leaves"):
    return run("compute", "--model", model, "--data", data, *SMALL, *args)


@pytest.mark.representative
def test_json_has_the_keys_that_scripts_rely_on(run, here):
    result = compute(run, "--images", 3, "--json")
    assert result.code == 0
    answer = result.json
    for key in (
        "out",
        "images",
        "images_skipped",
        "size",
        "unit",
        "formula",
        "target",
        "seconds",
        "images_per_second",
    ):
        assert key in answer
    assert answer["out"] == "erf.h5"
    assert (answer["images"], answer["images_skipped"], answer["size"]) == (3, 0, [65, 65])
    assert (answer["unit"]["y"], answer["unit"]["x"]) == (32, 32)
    assert {"mode", "reason", "flops_needed", "flops_dense"} <= set(answer["engine"])
    assert {"source", "sha256", "matched", "missing", "unexpected"} <= set(answer["weights"])
    assert "random weights" in result.err
    assert (here / "erf.h5").exists()


@pytest.mark.parametrize("data", ["cityscapes", "voc2012", "ade20k", "folder"])
def test_real_layouts(run, here, data):
    result = compute(run, "--json", data=data)
    assert result.code == 0, result.err
    classes = {"cityscapes": 19, "voc2012": 21, "ade20k": 150, "folder": 19}[data]
    assert result.json["network"]["options"]["num_classes"] == classes
    erf = erfscope.load_erf("erf.h5")
    assert erf.images == result.json["images"] > 0
    assert [record.name for record in erf.records] == sorted(record.name for record in erf.records)


def test_the_same_command_gives_the_same_map(run):
    for out in ("a.h5", "b.h5"):
        assert compute(run, "--images", 4, "--seed", 7, "--out", out).code == 0
    assert compute(run, "--images", 4, "--seed", 8, "--out", "c.h5").code == 0
    a, b, c = (erfscope.load_erf(name) for name in ("a.h5", "b.h5", "c.h5"))
    np.testing.assert_array_equal(a.replicates, b.replicates)
    assert not np.array_equal(a.erf, c.erf)


def test_options_reach_the_map(run):
    result = compute(
        run, "--images", 2, "--rates", "2,4", "--output-stride", 16, "--unit", "5,60", "--target", "disk",
        "--formula", "openerf", "--precision", "float64", "--batch-size", 2, "--replicates", 0,
        "--align-corners",
    )  # fmt: skip
    assert result.code == 0, result.err
    erf = erfscope.load_erf("erf.h5")
    options = erf.provenance["network"]["options"]
    assert (options["rates"], options["output_stride"], options["align_corners"]) == ([2, 4], 16, True)
    assert (erf.unit.y, erf.unit.x) == (5, 60)
    assert erf.target.endswith("(disk)")
    assert (erf.formula, erf.replicates) == ("openerf", None)
    engine = erf.provenance["engine"]
    assert (engine["precision"], engine["batch_size"]) == ("float64", 2)


def test_a_layers_unit(run):
    assert compute(run, "--images", 1, "--unit", "backbone.layer4").code == 0
    erf = erfscope.load_erf("erf.h5")
    assert (erf.unit.y, erf.unit.x, erf.unit.layer) == (4, 4, "backbone.layer4")


def test_non_square(run):
    result = compute(run, "--images", 1, "--size", "48x96", "--json")
    assert result.json["size"] == [48, 96]
    assert (result.json["unit"]["y"], result.json["unit"]["x"]) == (24, 48)


def test_a_checkpoint_decides_the_classes_and_is_recorded(run, here):
    network = build_network(describe_network("fcn", backbone="resnet18", num_classes=3), seed=9)
    torch.save({"state_dict": network.state_dict()}, "weights.pth")
    result = compute(run, "--images", 1, "--checkpoint", "weights.pth", "--json", model="fcn")
    assert result.code == 0, result.err
    weights = result.json["weights"]
    assert (weights["source"], weights["missing"], weights["unexpected"]) == ("weights.pth", 0, 0)
    assert weights["matched"] > 100
    assert len(weights["sha256"]) == 64
    assert "random" not in result.err
    assert result.json["network"]["options"]["num_classes"] == 3


def test_a_broken_image_is_skipped_counted_and_named(run, photos):
    (photos / "a" / "cut.png").write_bytes((photos / "a" / "0.png").read_bytes()[:500])
    refused = compute(run, "--root", photos, data="folder")
    assert refused.code == 2
    assert "1 of" in refused.err
    assert "cut.png" in refused.err
    assert "--max-skipped" in refused.err
    result = compute(run, "--root", photos, "--max-skipped", 0.2, "--json", "--workers", 1, data="folder")
    assert result.code == 0
    assert (result.json["images"], result.json["images_skipped"]) == (10, 1)
    assert "a/cut.png" in result.err
    (skipped,) = erfscope.load_erf("erf.h5").skipped
    assert skipped.name == "a/cut.png"


def test_a_3_px_image_is_enlarged(run, here):
    (here / "tiny").mkdir()
    Image.fromarray(np.arange(27, dtype=np.uint8).reshape(3, 3, 3)).save(here / "tiny" / "x.png")
    assert compute(run, "--root", here / "tiny", data="folder").code == 0


BAD = {
    "missing root": (["--data", "cityscapes", "--root", "nowhere"], "nowhere doesn't exist.*--root"),
    "wrong root": (["--data", "cityscapes", "--root", "."], "has no folder leftImg8bit"),
    "empty split": (["--data", "cityscapes", "--split", "test"], "holds no images|test"),
    "unknown split": (["--data", "voc2012", "--split", "dev"], "no split 'dev'"),
    "unknown dataset": (["--data", "citiscapes"], "did you mean cityscapes"),
    "unknown model": (["--model", "deeplab"], "did you mean deeplabv3"),
    "class id": (["--target", "19", "--num-classes", "19"], "class 19 is out of range; .* 0 to 18"),
    "unit outside": (["--unit", "65,0"], "rows 0 to 64"),
    "unknown layer": (["--unit", "backbone.layer9"], "did you mean backbone.layer"),
    "size": (["--size", "0"], "at least 1 px"),
    "size words": (["--size", "big"], "no size such as 769"),
    "rates": (["--rates", "6,x"], "no list of whole numbers"),
    "too many images": (["--data", "folder", "--images", "1000"], "ask for 1 to"),
    "missing checkpoint": (["--checkpoint", "none.pth"], "none.pth does not exist"),
    "no model": (["--model"], "--model"),
    "folder as out": (["--out", "."], "is a folder"),
    "unwritable": (["--out", "/proc/erf.h5"], "can't write to folder /proc"),
    "batch size": (["--batch-size", "0"], "at least one image"),
    "unknown option": (["--color", "red"], "No such option"),
}


@pytest.mark.representative
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(run, here, case):
    args, message = BAD[case]
    result = run("compute", "--model", "fcn", "--data", "synthetic-leaves", *SMALL, "--images", "1", *args)
    assert result.code == 2
    assert result.out == ""
    lines = [line for line in result.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1
    assert lines[0].startswith("erfscope: ")
    assert re.search(message, lines[0]), lines[0]
    assert not (here / "erf.h5").exists()


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_checkpoints_that_cannot_be_taken(run, here):
    torch.save({"state_dict": RunsCode()}, "hostile.pth")
    torch.save(build_network(describe_network("fcn", backbone="resnet18")).state_dict(), "whole.pth")
    (here / "cut.pth").write_bytes((here / "whole.pth").read_bytes()[:100_000])
    for args, message in (
        (["--checkpoint", "hostile.pth"], "hostile.pth is refused: loading it would need posix.mkdir"),
        (["--checkpoint", "cut.pth"], "cut.pth is cut off or damaged"),
        (["--checkpoint", "whole.pth"], "--model fcn --backbone resnet18 .*--allow-partial"),
    ):
        result = compute(run, *args)
        assert result.code == 2
        assert re.search(message, result.err), result.err
        assert len(result.err.splitlines()) == 1
    assert not (here / "executed").exists()
    assert not (here / "erf.h5").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none(run):
    result = compute(run, "--device", "cuda")
    assert result.code == 2
    assert "--device cpu" in result.err


def test_an_existing_map_is_refused_before_anything_is_opened(run, here):
    (here / "erf.h5").write_text("mine")
    result = compute(run, model="no such network")
    assert result.code == 2
    assert "exists already" in result.err
    assert (here / "erf.h5").read_text() == "mine"
    assert compute(run, "--images", 1, "--overwrite").code == 0
