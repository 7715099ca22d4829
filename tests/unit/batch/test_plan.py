"""A plan's jobs, their names and words, and what is said of plans that can't be."""

import subprocess
import tomllib
from pathlib import Path

import pytest
import tomli_w
from small_study import NAME, VALUES, plan, read, write_plan

from erfscope.batch.check_jobs import check_jobs
from erfscope.batch.slurm import write_script
from erfscope.batch.tasks import STAGES, expand
from erfscope.errors import BatchError

ASPP = {"model": "deeplabv3", "backbone": "resnet18"}


def names(a_plan):
    return [job.name for job in a_plan.jobs]


def test_every_combination_is_a_job(tmp_path):
    made = plan(
        tmp_path,
        networks=[
            ASPP,
            {"model": "deeplabv3plus", "backbone": "resnet18", "name": "v3+", "output_stride": 16},
        ],
        datasets=[{"data": "synthetic-leaves"}, {"data": "voc2012", "root": "voc", "split": "train"}],
        sizes=[65, "33x65", "97x97"],
        rates=[[1, 2, 3], "own"],
    )
    assert len(set(names(made))) == len(made.jobs) == 2 * 2 * 3 * 2
    assert made.jobs[0].name == "deeplabv3-resnet18_synthetic-leaves_65_r1-2-3"
    assert made.jobs[-1].name == "v3+_voc2012-train_97"
    first, last = made.jobs[0].words, made.jobs[-1].words
    assert first == (
        *("--model", "deeplabv3", "--backbone", "resnet18", "--rates", "1,2,3"),
        *("--data", "synthetic-leaves", "--size", "65"),
    )
    assert last == (
        *("--model", "deeplabv3plus", "--backbone", "resnet18", "--output-stride", "16"),
        *("--data", "voc2012", "--root", str(tmp_path / "voc"), "--split", "train", "--size", "97x97"),
    )


def test_names_stay_when_a_plan_grows_or_is_sorted_anew(tmp_path):
    few = plan(tmp_path, networks=[ASPP], sizes=[65])
    more = plan(tmp_path, networks=[*VALUES["networks"], ASPP], sizes=[33, 65], shards=3, measure=["extent"])
    assert names(few)[0] in names(more)
    assert len(set(names(more))) == 4


def test_every_option_of_compute_has_a_place(tmp_path):
    made = plan(
        tmp_path,
        sizes=None,
        networks=[
            {
                "model": "deeplabv3",
                "align_corners": False,
                "trust": True,
                "allow_partial": False,
                "multi_grid": [1, 2, 4],
                "option": {"image_pooling": False, "channels": 64},
            }
        ],
        datasets=[{"data": "synthetic-leaves", "data_option": {"disks": 4, "red": "0.5"}, "fit": "resize"}],
        compute={"unit": [10, 12], "target": 3, "snapshot_every": 5.5, "replicates": 0, "batch_size": "auto"},
    )
    words = " ".join(made.jobs[0].words)
    assert made.jobs[0].name == "deeplabv3_synthetic-leaves"
    for said in (
        "--no-align-corners",
        "--trust",
        "--multi-grid 1,2,4",
        "--option image_pooling=false --option channels=64",
        "--data-option disks=4 --data-option red=0.5",
        "--fit resize",
        "--unit 10,12",
        "--target 3",
        "--snapshot-every 5.5",
        "--replicates 0",
        "--batch-size auto",
    ):
        assert said in words
    assert "--allow-partial" not in words
    assert "--size" not in words


def test_paths_are_the_plans(tmp_path):
    (tmp_path / "nets" / "hub").mkdir(parents=True)
    (tmp_path / "nets" / "best.pth").touch()
    made = plan(
        tmp_path,
        networks=[
            {"model": "nets/best.pth", "config": "nets/config.py"},
            {"model": "hf:nets/hub"},
            {"model": "fcn", "checkpoint": "~/fcn.pth"},
            {"model": "package.module:function"},
            {"model": "hf:nvidia/segformer"},
        ],
    )
    assert made.out == tmp_path / "study"
    nets = tmp_path / "nets"
    told = [dict(zip(job.words[::2], job.words[1::2], strict=False)) for job in made.jobs]
    assert told[0] | {"--model": str(nets / "best.pth"), "--config": str(nets / "config.py")} == told[0]
    assert told[1]["--model"] == f"hf:{nets / 'hub'}"
    assert told[2]["--checkpoint"].endswith("/fcn.pth")
    assert "~" not in told[2]["--checkpoint"]
    assert [each["--model"] for each in told[3:]] == ["package.module:function", "hf:nvidia/segformer"]
    assert [name.partition("_")[0] for name in names(made)] == [
        "best",
        "hf-nets-hub",
        "fcn-fcn",
        "package.module-function",
        "hf-nvidia-segformer",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outt": "x"}, "plan.toml has no 'outt'; did you mean out"),
        ({"out": None}, "plan.toml has no out; expected a folder"),
        ({"networks": None}, "has no networks; expected [[networks]]"),
        ({"networks": []}, "has no networks; expected [[networks]]"),
        ({"datasets": None}, "has no datasets; expected [[datasets]]"),
        ({"sizes": []}, "sizes is empty; name one, or leave it out"),
        ({"rates": []}, "rates is empty"),
        ({"measure": []}, "measure is empty"),
        ({"measure": ["star"]}, "measure = ['star']; expected one of star-distance"),
        ({"shards": 0}, "shards = 0; expected a whole number >= 1"),
        ({"shards": "2"}, "shards = '2'; expected a whole number"),
        ({"sizes": ["wide"]}, "dataset 1: size = 'wide': 'wide' is no size such as 769 or 512x1024"),
        ({"sizes": [True]}, "size = True: expected one value"),
        ({"rates": [6, 12, 18]}, "network 1: rates has 6; expected lists of whole numbers, [[6, 12, 18]]"),
        ({"rates": [[6, 0]]}, "rates has [6, 0]; expected lists of whole numbers"),
        ({"networks": [{"backbone": "resnet18"}]}, "network 1 has no model; expected model ="),
        ({"networks": [{"model": "fcn", "bakbone": "x"}]}, "has no 'bakbone'; did you mean backbone?"),
        ({"networks": [{"model": "fcn", "data": "x"}]}, "has no 'data'; it belongs into [[datasets]]"),
        ({"networks": [{"model": "fcn", "out": "x"}]}, "has no 'out'; a batch gives it to each job itself"),
        ({"networks": [{"model": "fcn", "trust": 1}]}, "network 1: trust = 1: expected true or false"),
        ({"networks": [{"model": "fcn", "option": [1]}]}, "option = [1]: expected a table such as"),
        ({"networks": [{"model": "fcn", "backbone": ["a"]}]}, "backbone = ['a']: expected one value"),
        (
            {"networks": [{"model": "fcn", "num_classes": 2.5}]},
            "num_classes = 2.5: '2.5' is not a valid integer",
        ),
        ({"networks": [{"model": "fcn", "name": "a/b"}]}, "name = 'a/b': expected letters, digits and"),
        ({"networks": [{"model": "fcn", "name": "n" * 200}]}, "letters; give the network a name"),
        ({"networks": [{"model": "fcn", "rates": 6}]}, "rates = 6; expected a list of lists"),
        ({"datasets": [{"root": "x"}]}, "dataset 1 has no data; expected data ="),
        ({"datasets": [{"data": "voc2012", "sizes": 5}]}, "sizes = 5; expected a list such as"),
        ({"compute": {"formular": "paper"}}, "[compute] has no 'formular'; did you mean formula?"),
        ({"compute": {"images": 4}}, "[compute] has no 'images'; it belongs into [[datasets]]"),
        ({"compute": {"until": 0.01}, "shards": 2}, "[compute] until looks at the whole map, which"),
        ({"compute": {"replicates": -1}}, "[compute]: replicates = -1:"),
        ({"slurm": {"partitoin": "gpu"}}, "slurm has no 'partitoin'; did you mean partition"),
        ({"slurm": {"cpus_per_task": 0}}, "cpus_per_task = 0; expected a whole number >= 1"),
        ({"networks": VALUES["networks"] * 2}, f"{NAME} is asked for twice; take one out"),
        (
            {"networks": [ASPP | {"num_classes": 2}, ASPP | {"num_classes": 3}]},
            "two jobs are called deeplabv3-resnet18_synthetic-leaves_33; give their networks or data",
        ),
        ({"networks": [ASPP | {"name": "A"}, VALUES["networks"][0] | {"name": "a"}]}, "two jobs are called"),
    ],
)
def test_what_cant_be_is_told_in_one_line(tmp_path, changes, said):
    with pytest.raises(BatchError) as raised:
        plan(tmp_path, **changes)
    message = str(raised.value)
    assert said in message
    assert message.startswith(("plan.toml", str(tmp_path)))
    assert "\n" not in message


def test_no_file_and_no_toml_are_told(tmp_path):
    path = write_plan(tmp_path)
    path.write_text("out = ")
    with pytest.raises(BatchError, match="plan.toml is no TOML"):
        read(path)
    path.unlink()
    with pytest.raises(BatchError, match="No such file or directory; expected a plan in TOML"):
        read(path)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"model": "deeplabv9"}, "no network is called 'deeplabv9'"),
        ({"model": "fcn", "rates": [[1, 2]]}, "fcn takes no rates"),
        ({"model": "fcn", "backbone": "resnet19"}, "resnet19"),
        ({"model": "fcn", "option": {"widgets": 2}}, "fcn takes no widgets"),
        ({"model": "gone.pth"}, "gone.pth"),
        ({"model": "fcn", "checkpoint": "gone.pth"}, "gone.pth"),
    ],
)
def test_the_catalog_is_asked_before_anything_runs(tmp_path, network, said):
    made = plan(tmp_path, networks=[network])
    with pytest.raises(BatchError, match=said) as raised:
        check_jobs(made.jobs, "plan.toml")
    assert str(raised.value).startswith(f"plan.toml: {made.jobs[0].name}: ")


def test_data_sets_are_looked_up_too(tmp_path):
    made = plan(tmp_path, datasets=[{"data": "citiscapes"}])
    with pytest.raises(BatchError, match="did you mean cityscapes"):
        check_jobs(made.jobs, "plan.toml")
    check_jobs(plan(tmp_path).jobs, "plan.toml")


def test_the_example_can_be_carried_out():
    made = read(Path(__file__).parents[3] / "examples" / "batch" / "plan.toml")
    assert len(made.jobs) == 26
    check_jobs(made.jobs, "plan.toml")
    for stage in STAGES:
        tasks = [task for task in expand(made) if task.job == made.jobs[0].name and task.stage == stage]
        subprocess.run(["bash", "-n"], input=write_script(made, tasks), text=True, check=True)


def test_one_table_stands_for_a_list_of_one(tmp_path):
    path = write_plan(tmp_path)
    values = tomllib.loads(path.read_text())
    values |= {"networks": values["networks"][0], "datasets": values["datasets"][0], "sizes": 33}
    path.write_bytes(tomli_w.dumps(values).encode())
    assert names(read(path)) == [NAME]
