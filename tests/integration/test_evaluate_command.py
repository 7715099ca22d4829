"""`erfscope evaluate` as people call it."""

import json

import mmsegmentation_files
import numpy as np
import pytest
import torch
from PIL import Image

from erfscope.checkpoints.formats.mmsegmentation.config_network import describe_config
from erfscope.checkpoints.formats.mmsegmentation.config_text import parse_config
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network

SMALL = ("--model", "fcn", "--backbone", "resnet18", "--output-stride", "32")
LEAVES = (*SMALL, "--data", "synthetic-leaves", "--images", "3", "--size", "49x65")


def test_json_has_the_keys_that_scripts_rely_on(run, here):
    result = run("evaluate", *LEAVES, "--json")
    assert result.code == 0, result.err
    answer = result.json
    assert set(answer) >= {
        "out", "figure", "images", "images_skipped", "skipped", "miou", "miou_stderr", "pixel_accuracy",
        "mean_class_accuracy", "mean_precision", "mean_recall", "mean_f1", "mean_dice", "by_class", "trimap",
        "inference", "network", "weights", "dataset", "device", "seconds", "flags", "flag_codes",
    }  # fmt: skip
    assert [each["name"] for each in answer["by_class"]][:2] == ["disk", "ellipse"]
    assert set(answer["by_class"][0]) == {"name", "pixels", "iou", "recall", "precision", "f1", "dice"}
    assert answer["pixels"] == 3 * 49 * 65
    assert (answer["images"], answer["miou_stderr"], answer["trimap"]) == (3, None, [])
    assert answer["network"]["options"]["output_stride"] == 32
    assert answer["inference"]["mode"] == "whole"
    assert answer["dataset"]["size"] == [49, 65]
    assert list(here.iterdir()) == []


def test_every_option_at_once(run, here):
    result = run(
        "evaluate", *LEAVES, "--mode", "slide", "--crop", "48x64", "--stride", "32", "--scales", "0.5,1.0",
        "--flip", "--trimap", "1,4", "--batch-size", "3", "--out", "s.json", "--figure", "c.png",
        "--workers", "0",
        "--threshold", "0.4", "--short-side", "50", "--trimap-void",
        "--fit", "resize", "--max-skipped", "0.5", "--device", "cpu",
    )  # fmt: skip
    assert result.code == 0, result.err
    document = json.loads((here / "s.json").read_text())
    assert np.sum(document["confusion"]) == document["pixels"]
    assert [len(row) for row in document["confusion"]] == [5] * 5
    assert document["inference"]["crop"] == [48, 64]
    assert document["inference"]["scales"] == [0.5, 1.0]
    inner, outer = document["trimap"]
    assert 0 < inner["pixels"] < outer["pixels"] < document["pixels"]
    assert len(inner["iou"]) == 5
    with Image.open(here / "c.png") as picture:
        assert picture.width > 500
    for words in (
        "disk", "background", "within (px)",
        "windows of 48×64 px every 32×32 px, shorter side 50 px, scales 0.5, 1, mirrored too",
        f"mIoU (%)                 {100 * document['miou']:.2f}", "s.json", "random weights (seed 0)",
    ):  # fmt: skip
        assert words in result.out


def test_flags_are_warnings_and_come_once(run):
    result = run("evaluate", *LEAVES, "-q")
    assert result.out == ""
    lines = result.err.splitlines()
    assert len(lines) == len(set(lines))
    assert all(line.startswith("warning: ") for line in lines)
    assert lines[0].startswith("warning: random weights (seed 0)")
    assert any("3 images are too few" in line for line in lines)


def test_the_same_command_gives_the_same_scores(run):
    first, second = (run("evaluate", *LEAVES, "--flip", "--json").json for _ in range(2))
    for document in (first, second):
        document.pop("seconds")
    assert first == second


@pytest.mark.parametrize(("data", "classes"), [("cityscapes", 19), ("voc2012", 21), ("ade20k", 150)])
def test_real_layouts_at_their_own_size(run, data, classes):
    result = run("evaluate", *SMALL, "--data", data, "--json")
    assert result.code == 0, result.err
    assert len(result.json["by_class"]) == classes
    assert result.json["dataset"]["size"] is None
    assert 0 < result.json["pixels"] <= 4 * 12 * 10
    fitted = run("evaluate", *SMALL, "--data", data, "--size", "8", "--images", "2", "--json").json
    assert fitted["dataset"]["size"] == [8, 8]
    assert any("fitted to one size" in flag for flag in fitted["flags"])
    assert any("scored on 2 of 4 images" in flag for flag in fitted["flags"])


def checkpoint(path, classes):
    """Write an mmsegmentation checkpoint of five classes that takes unusual images."""
    config = mmsegmentation_files.CONFIG.replace("num_classes=3", "num_classes=5")
    config = config.replace("bgr_to_rgb=True", "bgr_to_rgb=False").replace("123.675", "51.0")
    network = build_network(describe_config(parse_config(config, "test"), "test"), seed=5)
    meta = {"dataset_meta": {"classes": classes}, "cfg": config}
    torch.save({"meta": meta, "state_dict": network.state_dict()}, path)


def test_a_checkpoint_tells_normalization_crop_and_classes(run):
    leaves = ("disk", "ellipse", "rectangle", "triangle", "background")
    checkpoint("net.pth", leaves)
    data = ("--data", "synthetic-leaves", "--images", "2", "--json")
    answer = run("evaluate", "--model", "net.pth", *data).json
    assert answer["dataset"]["channel_order"] == "bgr"
    assert 51 / 255 in [pytest.approx(mean) for mean in answer["dataset"]["mean"]]
    assert answer["pixels"] == 2 * 64 * 96  # drawn scenes at the crop of its training
    assert not any("random" in flag or "otherwise" in flag for flag in answer["flags"])
    slid = run("evaluate", "--model", "net.pth", *data, "--mode", "slide", "--size", "80x100").json
    assert (slid["inference"]["crop"], slid["inference"]["stride"]) == ([64, 96], [42, 64])
    assert slid["pixels"] == 2 * 80 * 100
    checkpoint("other.pth", leaves[::-1])
    other = run("evaluate", "--model", "other.pth", *data).json
    assert any("4 of 5 classes are named otherwise in the checkpoint" in flag for flag in other["flags"])


def bad_label(here):
    path = next((here.parent / "data/voc2012").rglob("SegmentationClass/*.png"))
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(path)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--data", "folder"), "folder has no labels to score against"),
        (("--data", "cityscapes", "--num-classes", "5"), "the network has 5 classes, the dataset 19 (road, "),
        (("--data", "voc2012"), "the label is 5×5 px, its image 10×12"),
        (("--data", "nothing"), "no dataset 'nothing'"),
        (("--data", "cityscapes", "--mode", "slide"), "give --crop HxW"),
        (("--data", "cityscapes", "--crop", "5"), "add --mode slide"),
        (("--data", "cityscapes", "--mode", "slide", "--crop", "8", "--stride", "9"), "leave gaps"),
        (("--data", "cityscapes", "--mode", "tiles"), "'tiles' is not one of 'whole', 'slide'"),
        (("--data", "cityscapes", "--scales", "0"), "expected numbers from 0.05 to 20"),
        (("--data", "cityscapes", "--scales", "one"), "'one' is no list of numbers such as 0.5,1.0,1.5"),
        (("--data", "cityscapes", "--trimap", "0"), "expected widths above 0"),
        (("--data", "cityscapes", "--figure", "c.jpg"), "expected one of .png"),
        (("--data", "cityscapes", "--images", "99"), "99 images of cityscapes asked for"),
        (("--data", "cityscapes", "--root", "gone"), "doesn't exist"),
        (("--data", "cityscapes", "--data-option", "depth=3"), "depth"),
    ],
)
def test_bad_input_is_one_line(run, here, args, told):
    bad_label(here)
    result = run("evaluate", *SMALL, *args)
    assert result.code == 2, result.err
    assert result.out == ""
    *warnings, line = result.err.splitlines()
    assert told in line
    assert all(each.startswith("warning: ") or "images/s" in each for each in warnings)


def test_files_are_refused_before_anything_is_opened(run, here):
    (here / "s.json").write_text("mine")
    result = run("evaluate", "--model", "no such network", "--data", "synthetic-leaves", "--out", "s.json")
    assert result.code == 2
    assert "s.json exists already" in result.err
    assert (here / "s.json").read_text() == "mine"
    assert run("evaluate", *LEAVES, "--out", "s.json", "--overwrite").code == 0
    assert "confusion" in json.loads((here / "s.json").read_text())


def test_a_network_of_another_output_stride(run):
    network = build_network(describe_network("deeplabv3", backbone="resnet18", num_classes=5))
    torch.save(network.state_dict(), "w.pth")
    args = ("--model", "deeplabv3", "--backbone", "resnet18", "--checkpoint", "w.pth")
    data = ("--data", "synthetic-leaves", "--images", "1", "--size", "65", "--json")
    coarse = run("evaluate", *args, "--output-stride", "32", "--rates", "3,6,9", *data).json
    assert coarse["network"]["options"]["rates"] == [3, 6, 9]
    assert coarse["weights"]["missing"] == 0
    fine = run("evaluate", *args, "--output-stride", "16", "--rates", "6,12,18", *data).json
    assert fine["by_class"] != coarse["by_class"]
