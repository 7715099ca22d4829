"""A whole run: what it leaves, that it learns, goes on after any end, and what stops it."""

import csv
import json
import math
import os
import signal
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from same_outputs import assert_same_outputs
from small_training import AUGMENT, recipe
from tiers import representatives

import erfscope
from erfscope.checkpoints.fitting.matching import comparable
from erfscope.errors import DatasetError, NetworkError, TrainError
from erfscope.train.recipes.fields import build, plain
from erfscope.train.recipes.recipe import Recipe
from erfscope.train.trainer import Trainer
from erfscope.workflows.train_network import train

EVERYTHING = {
    "network": {"auxiliary_weight": 0.4, "auxiliary_map": 1, "dropout": 0.2},
    "augment": AUGMENT,
    "run": {"ema": 0.7},
    "loss": {"dice": 1.0},
    "validation": {"every": 4},
}


@pytest.fixture(scope="module", autouse=True)
def one_core():
    """Small layers on two threads mostly wait for each other where the cores are shared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("erfscope.system.threads.available_cores", lambda: 1)
        yield


class Recorder:
    def __init__(self):
        self.warnings, self.notes, self.rows = [], [], []

    def train(self, plan, out, **options):
        return train(
            plan,
            out,
            device="cpu",
            warn=self.warnings.append,
            note=self.notes.append,
            show=lambda row: self.rows.append(row),
            **options,
        )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run of eight iterations with everything: recipe, folder, document, and what it told."""
    out, recorder, plan = tmp_path_factory.mktemp("run") / "out", Recorder(), recipe(**EVERYTHING)
    return plan, out, recorder.train(plan, out), recorder


def tensors(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def state(path):
    return torch.load(path / "last.pt", weights_only=True)


def assert_same(one, other, where=""):
    """Bit by bit, whatever is nested."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for k, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            assert_same(mine, theirs, f"{where}[{k}]")
    else:
        assert one == other or (one != one and other != other), where


def weights_and_optimizer(path):
    found = state(path)
    progress = {name: value for name, value in found["progress"].items() if name != "seconds"}
    kept = ("model", "model_ema", "auxiliary", "optimizer", "averaged")
    return {name: found[name] for name in kept if name in found} | {"progress": progress}


def test_the_folder(done):
    plan, out, document, _ = done
    names = {path.name for path in out.iterdir()}
    files = {"recipe.toml", "log.jsonl", "log.csv", "curves.png", "last.pt"}
    assert names == files | {"best.safetensors", "last.safetensors"}
    assert build(Recipe, tomllib.loads((out / "recipe.toml").read_text()), "") == plan
    assert (out / "last.safetensors").stat().st_mode & 0o044  # as readable as any file
    with Image.open(out / "curves.png") as figure:
        assert figure.width > 100
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_document(done):
    plan, out, document, _ = done
    assert document["out"] == str(out)
    assert (document["iterations"], document["interrupted"]) == (8, False)
    assert document["recipe"] == plain(plan)
    assert document["images_per_second"] > 0
    assert document["seconds"] > 0
    assert document["loss"] > 0
    best = document["best"]
    assert best["iteration"] in (4, 8)
    assert best["checkpoint"] == str(out / "best.safetensors")
    assert 0 <= document["miou"] <= best["miou"] <= 1
    assert any("random weights" in flag for flag in document["flags"])


def test_the_log(done):
    _, out, document, recorder = done
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    steps, scored = ([row for row in rows if name in row] for name in ("loss", "miou"))
    assert [row["iteration"] for row in steps] == [2, 4, 6, 8]
    assert [row["iteration"] for row in scored] == [4, 8]
    assert max(row["miou"] for row in scored) == document["best"]["miou"]
    assert scored[-1]["val_images"] == 3
    with (out / "log.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(int(r["iteration"]), r["loss"] and float(r["loss"])) for r in table] == [
        (row["iteration"], row.get("loss", "")) for row in rows
    ]
    # Each row of the log is the mean since the one before it; the display is told of every step.
    shown = {row["iteration"]: row["loss"] for row in recorder.rows if "loss" in row}
    assert sorted(shown) == list(range(1, 9))
    assert steps[0]["lr"] == pytest.approx((0.05 - 1e-4) * (1 - 1 / 8) ** 0.9 + 1e-4)


def test_weights_load_back_with_the_same_logits(done):
    """The average's, as they were validated."""
    plan, out, document, _ = done
    images = torch.randn(2, 3, 49, 49, generator=torch.Generator().manual_seed(0))
    model = erfscope.load_model(str(out / "last.safetensors"))
    assert model.info.format == "erfscope training run"
    assert model.info.weights.missing == model.info.weights.unexpected == ()
    averaged = state(out)["model_ema"]
    assert_same(comparable(model.state_dict()), comparable(averaged))
    with torch.no_grad():
        first = model(images)
        assert_same_outputs(erfscope.load_model(str(out / "last.pt"))(images), first)  # it tells as much
        assert not torch.equal(
            erfscope.load_model("lraspp", backbone="mobilenet-v3-small", num_classes=5)(images), first
        )
    training = model.info.training
    assert training.crop_size == (49, 49)
    assert training.classes == ("disk", "ellipse", "rectangle", "triangle", "background")
    assert (training.mean, training.std) == (plan.data.mean, plan.data.std)
    assert training.hyper_parameters["schedule"]["iterations"] == 8
    best = erfscope.load_model(str(out / "best.safetensors"))
    scores = erfscope.evaluate(
        best, erfscope.open_dataset("synthetic-leaves", size=49, images=3), device="cpu"
    )
    assert scores.scores.miou == pytest.approx(document["best"]["miou"], abs=1e-12)


def test_an_existing_run_is_not_overwritten(done, tmp_path):
    plan, out, _, recorder = done
    with pytest.raises(TrainError, match=r"holds a run \(recipe.toml\); --resume goes on"):
        recorder.train(plan, out)
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match="is a file; give a folder by --out"):
        recorder.train(plan, tmp_path / "file")


def test_a_finished_run_is_not_trained_again(done):
    plan, out, document, recorder = done
    before = weights_and_optimizer(out)
    again = recorder.train(plan, out, resume=True)
    assert again["iterations"] == 8
    assert again["images_per_second"] is None
    assert again["best"] == document["best"]
    assert_same(weights_and_optimizer(out), before)


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 3, 4, 6])
def test_a_run_that_is_resumed_ends_with_the_same_bits(at, done, tmp_path, monkeypatch):
    """Stopped by an error before any step: what was last saved decides."""
    plan, out, _, _ = done
    original = Trainer.step

    def failing(self, batches):
        if self.state.iteration == at:
            raise ZeroDivisionError
        return original(self, batches)

    monkeypatch.setattr(Trainer, "step", failing)
    with pytest.raises(ZeroDivisionError):
        Recorder().train(plan, tmp_path / "run")
    monkeypatch.undo()
    torch.manual_seed(99)
    document = Recorder().train(plan, tmp_path / "run", resume=True)
    assert_same(weights_and_optimizer(tmp_path / "run"), weights_and_optimizer(out))
    assert_same(tensors(tmp_path / "run" / "best.safetensors"), tensors(out / "best.safetensors"))
    assert document["best"]["miou"] == done[2]["best"]["miou"]
    rows, other = (
        [
            {name: value for name, value in json.loads(line).items() if name in ("iteration", "miou", "lr")}
            for line in (folder / "log.jsonl").read_text().splitlines()
        ]
        for folder in (tmp_path / "run", out)
    )
    assert [row for row in rows if "miou" in row] == [row for row in other if "miou" in row]
    assert [row["iteration"] for row in rows] == sorted(row["iteration"] for row in rows)


def test_a_run_leaves_torch_as_it_was(tmp_path):
    before = torch.get_rng_state(), torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    Recorder().train(recipe(schedule={"iterations": 1}, run={"deterministic": True}), tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    assert signal.getsignal(signal.SIGTERM) == before[2]
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("name", representatives(["SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"], ["SIGTERM"]))
def test_a_signal_ends_the_run_at_a_whole_step(name, tmp_path, monkeypatch):
    original = Trainer.step

    def signalled(self, batches):
        if self.state.iteration == 1:
            os.kill(os.getpid(), getattr(signal, name))
        return original(self, batches)

    monkeypatch.setattr(Trainer, "step", signalled)
    document = Recorder().train(recipe(), tmp_path / "run")
    assert (document["iterations"], document["interrupted"]) == (2, True)
    assert any(name in flag for flag in document["flags"])
    assert state(tmp_path / "run")["progress"]["iteration"] == 2
    assert (tmp_path / "run" / "last.safetensors").is_file()


@pytest.mark.slow
def test_a_signal_ends_validation(tmp_path, monkeypatch):
    from erfscope.train import validation

    original = validation.Validation._watch

    def signalled(self, done, skipped):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, done, skipped)

    plan = recipe(validation={"every": 8})
    monkeypatch.setattr(validation.Validation, "_watch", signalled)
    document = Recorder().train(plan, tmp_path / "run")
    assert (document["iterations"], document["interrupted"], document["best"]) == (8, True, None)
    monkeypatch.undo()
    document = Recorder().train(plan, tmp_path / "run", resume=True)
    assert (document["interrupted"], document["best"]["iteration"]) == (False, 8)


def test_resuming_with_another_recipe_is_refused(done):
    plan, out, _, recorder = done
    other = replace(plan, optimizer=replace(plan.optimizer, lr=0.3))
    with pytest.raises(TrainError, match=r"last.pt is of a run with optimizer.lr = 0.05, not 0.3"):
        recorder.train(other, out, resume=True)
    same = replace(plan, run=replace(plan.run, save_every=50, workers=None))
    assert recorder.train(same, out, resume=True)["iterations"] == 8


def test_a_state_that_is_none_is_refused(tmp_path):
    plan = recipe()
    (tmp_path / "last.pt").write_bytes(b"PK nothing")
    with pytest.raises(TrainError, match=r"last.pt can't be read .* leave --resume out"):
        Recorder().train(plan, tmp_path, resume=True)
    (tmp_path / "last.pt").unlink()
    assert Recorder().train(plan, tmp_path, resume=True)["iterations"] == 8  # none yet: from the beginning


def test_overwrite_begins_anew(tmp_path):
    plan = recipe(schedule={"iterations": 2}, validation={"every": 2})
    Recorder().train(plan, tmp_path / "run")
    other = replace(plan, validation=replace(plan.validation, every=0))
    document = Recorder().train(other, tmp_path / "run", overwrite=True)
    assert document["best"] is None
    assert not (tmp_path / "run" / "best.safetensors").exists()
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 1


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, monkeypatch):
    original = Trainer.step

    def diverging(self, batches):
        loss = original(self, batches)
        return loss * math.nan if self.state.iteration == 4 else loss

    monkeypatch.setattr(Trainer, "step", diverging)
    with pytest.raises(TrainError, match=r"the loss is nan at iteration 5; .*last.pt holds .*; lower --lr"):
        Recorder().train(recipe(), tmp_path / "run")
    assert state(tmp_path / "run")["progress"]["iteration"] == 3
    assert all(t.isfinite().all() for t in tensors(tmp_path / "run" / "last.safetensors").values())


def test_weights_that_are_not_finite_are_not_kept(tmp_path, monkeypatch):
    """The last finite loss may already have ruined them."""
    original = Trainer.step

    def ruining(self, batches):
        loss = original(self, batches)
        if self.state.iteration == 5:
            next(self.state.model.parameters()).data.fill_(math.inf)
        return loss

    monkeypatch.setattr(Trainer, "step", ruining)
    with pytest.raises(
        TrainError, match=r"network.backbone.* is no longer finite at iteration 6; .*last.pt holds"
    ):
        Recorder().train(recipe(), tmp_path / "run")
    assert state(tmp_path / "run")["progress"]["iteration"] == 3


def test_a_rate_that_is_too_large_really_diverges(tmp_path):
    with pytest.raises(TrainError, match=r"iteration \d+; .*lower --lr"):
        Recorder().train(recipe(optimizer={"lr": 1e30}), tmp_path / "run")


def test_memory_that_ends_is_told_with_what_fits(tmp_path, monkeypatch):
    """More than 2 images of 49 px, or more pixels than 32 × 32 in 4 of them, are refused here."""
    original = Trainer.batch_loss

    def bounded(self, images, labels):
        if images.numel() > 3 * 2 * 49 * 49 and images.numel() > 3 * 4 * 32 * 33:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return original(self, images, labels)

    monkeypatch.setattr(Trainer, "batch_loss", bounded)
    with pytest.raises(TrainError) as caught:
        Recorder().train(recipe(run={"batch_size": 4}), tmp_path / "run")
    assert str(caught.value) == (
        "a batch of 4 crops of 49×49 px needs more memory than there is; --batch-size 2 (with --set "
        "run.accumulate=2 for the same step) or --size 33x33 fit"
    )


def test_a_batch_of_one_is_told_what_batch_norm_needs(tmp_path):
    network = {"model": "deeplabv3", "backbone": "resnet18", "rates": [1, 2, 3]}
    with pytest.raises(TrainError, match="give --batch-size 2 or more, or --set network.batch_norm=frozen"):
        Recorder().train(recipe(network=network, run={"batch_size": 1}), tmp_path / "run")


def test_what_has_no_repeatable_algorithm_is_told(tmp_path, monkeypatch):
    def refusing(self, batches):
        raise RuntimeError("pool_backward_cuda does not have a deterministic implementation, but you set …")

    monkeypatch.setattr(Trainer, "step", refusing)
    with pytest.raises(
        TrainError, match="pool_backward_cuda has no algorithm .* leave run.deterministic out"
    ):
        Recorder().train(recipe(run={"deterministic": True}), tmp_path / "run")


def test_a_rate_below_its_floor_is_told(tmp_path):
    recorder = Recorder()
    recorder.train(recipe(optimizer={"lr": 6e-5}, schedule={"iterations": 1}), tmp_path / "run")
    assert any(
        "the learning rate stays 6e-05: schedule.min_lr is 0.0001" in text for text in recorder.warnings
    )


def test_rates_that_do_not_fit_are_told(tmp_path):
    """At stride 8 the map of 49 px has 7: rate 8 falls outside everywhere, rate 4 at the center."""
    network = {"model": "deeplabv3", "backbone": "resnet18", "output_stride": 8, "rates": [3, 4, 8]}
    recorder = Recorder()
    document = recorder.train(recipe(network=network, schedule={"iterations": 1}), tmp_path / "run")
    said = [text for text in recorder.warnings if text.startswith("rate")]
    assert len(said) == 2
    assert said[0].startswith(
        "rate 4 is large for crops of 49×49 px: at the center its outer taps read only padding"
    )
    assert said[1].startswith("rate 8 doesn't fit crops of 49×49 px: its outer taps read only padding")
    assert "; r* for this crop is 0.40" in said[1]  # (49 − 32) / (2 · 8 · 8/3)
    assert set(said) <= set(document["flags"])


@pytest.mark.slow
def test_it_learns(tmp_path):
    """Four scenes learned by heart: mIoU far above that of the network as it starts, and of any one class."""
    plan = recipe(
        network={"model": "fcn", "backbone": "resnet18-small", "dropout": 0.0},
        data={"images": 4, "val_images": 4, "val_split": "train"},
        schedule={"iterations": 40},
        run={"batch_size": 4, "save_every": 100},
        validation={"every": 10},
    )  # of five classes the largest alone would give 0.1
    recorder = Recorder()
    document = recorder.train(plan, tmp_path / "run")
    scores = [row["miou"] for row in recorder.rows if "miou" in row]
    losses = [row["loss"] for row in recorder.rows if "loss" in row]
    assert losses[-1] < 0.5 * losses[0]
    assert document["best"]["miou"] > 0.5
    assert scores[-1] > scores[0] + 0.1
    assert any("validation sees the images that are trained on" in text for text in recorder.warnings)


def test_sliding_and_fitted_validation(tmp_path):
    common = {"schedule": {"iterations": 1}, "data": {"scene_scale": 1.5}}
    slide = recipe(**common, validation={"every": 1, "mode": "slide", "stride": 40})
    fitted = recipe(**common, augment={"fit": "resize"}, validation={"every": 1})
    for name, plan in (("slide", slide), ("fitted", fitted)):
        assert Recorder().train(plan, tmp_path / name)["miou"] is not None


@pytest.mark.parametrize(
    ("sections", "error", "message"),
    [
        ({"data": {"name": "folder", "root": ".", "images": 1}}, TrainError, "folder has no classes"),
        ({"data": {"name": "leaves"}}, DatasetError, "no dataset 'leaves'"),
        ({"data": {"options": {"wind": 3}}}, DatasetError, "wind"),
        ({"network": {"model": "deeplab"}}, NetworkError, "no network is called 'deeplab'"),
        ({"network": {"rates": [1, 2]}}, NetworkError, "lraspp takes no rates"),
        ({"network": {"pretrained": "none.pth"}}, Exception, "none.pth"),
        ({"data": {"hard_classes": ["tree"]}}, TrainError, "has no class 'tree'"),
        ({"loss": {"class_weights": [1, 2]}}, TrainError, "2 class weights for 5 classes"),
    ],
)
def test_what_can_not_be(sections, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(error, match=message) as caught:
        Recorder().train(recipe(**sections), tmp_path / "run")
    assert "\n" not in str(caught.value)
