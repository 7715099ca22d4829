"""The log: rows, taken back when a run goes on from before them, and TensorBoard where it is installed."""

import json
import sys
import types

import pytest

from erfscope.train.log import COLUMNS, RunLog, read_log


def row(iteration, **told):
    return {"iteration": iteration, "seconds": 0.5 * iteration, **told}


def written(folder, iterations):
    log = RunLog(folder, 0)
    for iteration in iterations:
        log.add(row(iteration, loss=1 / iteration, lr=0.01, images_per_second=3.0))
    log.add(row(iterations[-1], miou=0.25, pixel_accuracy=0.5, val_images=3))
    log.close()


def test_lines_and_table_tell_the_same(tmp_path):
    written(tmp_path, [10, 20])
    rows = read_log(tmp_path / "log.jsonl")
    assert [r["iteration"] for r in rows] == [10, 20, 20]
    header, *lines = (line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines())
    assert tuple(header) == COLUMNS
    for line, told in zip(lines, rows, strict=True):
        assert {n: float(v) for n, v in zip(header, line, strict=True) if v} == pytest.approx(told)


def test_a_run_that_goes_on_takes_later_rows_back(tmp_path):
    written(tmp_path, [10, 20, 30])
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"iteration": 31, "lo')  # a kill in the middle of a line
    RunLog(tmp_path, 20).add(row(25, loss=0.1))
    assert [r["iteration"] for r in read_log(tmp_path / "log.jsonl")] == [10, 20, 25]
    assert [line.partition(",")[0] for line in (tmp_path / "log.csv").read_text().splitlines()[1:]] == [
        "10", "20", "25"
    ]  # fmt: skip
    RunLog(tmp_path, 0)
    assert read_log(tmp_path / "log.jsonl") == []


def test_what_is_no_row_is_left_out(tmp_path):
    (tmp_path / "log.jsonl").write_text('3\n{"loss": 1}\n\n{"iteration": "a"}\n{"iteration": 4}\nnull\n')
    assert read_log(tmp_path / "log.jsonl") == [{"iteration": 4}]
    assert read_log(tmp_path / "none.jsonl") == []


def test_tensorboard(tmp_path, monkeypatch):
    class Writer:
        def __init__(self, folder, purge_step):
            told.append((folder, purge_step))

        def add_scalar(self, *scalar):
            told.append(scalar)

        def close(self):
            told.append("closed")

    told = []
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr("erfscope.train.log.find_spec", lambda name: object())
    log = RunLog(tmp_path, 0)
    log.add(row(10, loss=0.5, lr=0.01, images_per_second=3.0))
    log.add(row(10, miou=0.25, pixel_accuracy=0.5, val_images=3))
    log.close()
    RunLog(tmp_path, 10)
    folder = str(tmp_path / "tensorboard")
    assert told == [
        (folder, None), ("loss", 0.5, 10), ("lr", 0.01, 10), ("images_per_second", 3.0, 10),
        ("miou", 0.25, 10), ("pixel_accuracy", 0.5, 10), "closed", (folder, 11),
    ]  # fmt: skip


def test_without_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setattr("erfscope.train.log.find_spec", lambda name: None)
    written(tmp_path, [1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "log.jsonl"]
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])["loss"] == 1.0
