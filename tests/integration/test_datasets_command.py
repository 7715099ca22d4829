"""`erfscope datasets`: the list, and the check before a training run."""

import numpy as np
import pytest
from PIL import Image

from erfscope.store.read import read_map


def test_the_list_stands_without_a_subcommand(run):
    listed = run("datasets", "--json")
    assert listed.code == 0
    rows = {row["name"]: row for row in listed.json["datasets"]}
    assert rows["synthetic-context"]["options"]["distance"] == 96
    assert rows["stare"]["size"] == [128, 128]
    assert rows["coco-stuff"]["classes"] == 171
    assert "options: distance=96, cue=True" in run("datasets").out


def test_a_sound_dataset_exits_0(run):
    answer = run("datasets", "check", "stare", "--size", "10", "--json")
    assert answer.code == 0
    training, validation = answer.json["results"]
    assert (training["split"], training["images"], training["labels"], training["read"]) == (
        "training",
        2,
        2,
        2,
    )
    assert validation["sound"] is True
    assert [each["name"] for each in validation["classes"]] == ["background", "vessel"]
    assert abs(sum(each["share"] for each in validation["classes"]) - 1) < 1e-9
    assert "background" in run("datasets", "check", "stare", "--size", "10").out


def test_what_training_cannot_run_with_exits_2_with_one_line(run, here):
    path = here.parent / "data/cityscapes/gtFine/val/bonn/bonn_000000_000019_gtFine_labelIds.png"
    Image.fromarray(np.full((12, 10), 200, np.uint8)).save(path)
    args = ("datasets", "check", "cityscapes", "--split", "val", "--size", "12x10")
    answer = run(*args)
    assert answer.code == 2
    assert "WRONG: label outside the classes" in answer.out
    assert "values 200 (120 px) belong to no class" in answer.out
    lines = [line for line in answer.err.splitlines() if line.startswith("erfscope:")]
    assert lines == [
        "erfscope: training can't run with this dataset; cityscapes val: 1 × label outside the classes"
    ]
    answer = run(*args, "--json")
    assert answer.code == 2
    (result,) = answer.json["results"]
    assert result["sound"] is False
    assert result["findings"][0]["cases"][0]["what"].endswith("bonn_000000_000019_gtFine_labelIds.png")
    # Without --split both that training takes are looked at, and there is no train here.
    answer = run("datasets", "check", "cityscapes", "-q")
    assert answer.code == 2
    assert answer.out == ""
    assert "cityscapes train: 1 × split not there" in answer.err


def test_long_lists_are_cut_in_the_table_alone(run, here):
    for path in (here.parent / "data/ade20k/annotations/validation").iterdir():
        path.unlink()
    for k in range(8):
        Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(
            here.parent / f"data/ade20k/images/validation/more{k}.jpg"
        )
    args = ("datasets", "check", "ade20k", "--split", "val")
    assert "and 7 more (--json lists all)" in run(*args).out
    findings = {each["kind"]: each for each in run(*args, "--json").json["results"][0]["findings"]}
    assert findings["image without label"]["count"] == 12
    assert len(findings["image without label"]["cases"]) == 12


def test_drawn_scenes_and_their_options(run):
    args = ("datasets", "check", "synthetic-context", "--images", "2", "--split", "val")
    answer = run(*args, "--data-option", "distance=40", "--size", "97", "--json")
    assert answer.code == 0
    assert answer.json["results"][0]["images"] == 2
    answer = run(*args, "--data-option", "distance=400")
    assert answer.code == 2
    assert "need 811 px a side" in answer.err


def test_wrong_words(run, here):
    assert "did you mean stare" in run("datasets", "check", "star").err
    assert run("datasets", "check").code == 2
    assert run("datasets", "chek").code == 2
    assert "--root" in run("datasets", "check", "--help").out


@pytest.mark.slow
def test_compute_takes_options_of_a_drawn_dataset_and_records_them(run, here):
    common = ("compute", "--model", "fcn", "--backbone", "resnet18", "--size", "65", "--images", "1", "--out")
    answer = run(*common, "a.h5", "--data", "synthetic-streets", "--data-option", "flipped=true", "--json")
    assert answer.code == 0, answer.err
    upright = run(*common, "b.h5", "--data", "synthetic-streets", "--json")
    assert upright.code == 0
    maps = [read_map(here / name) for name in ("a.h5", "b.h5")]
    assert [erf.provenance["dataset"]["options"] for erf in maps] == [{"flipped": True}, {"flipped": False}]
    assert not np.array_equal(maps[0].erf, maps[1].erf)
    answer = run(*common, "c.h5", "--data", "synthetic-streets", "--data-option", "flip=true")
    assert answer.code == 2
    assert "did you mean flipped" in answer.err
    assert not (here / "c.h5").exists()
