"""Recipes: every one can be built, changed field by field, and written down and read back."""

import json
import tomllib

import pytest
from small_training import recipe

from erfscope.datasets import LAYOUTS
from erfscope.errors import TrainError
from erfscope.theory import recommend_rate
from erfscope.train.recipes.fields import build, plain
from erfscope.train.recipes.load_recipe import (
    list_recipes,
    load_recipe,
    parse_setting,
    recipe_names,
    settings_of,
    write_toml,
)
from erfscope.train.recipes.recipe import Recipe
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.catalog.entries import describe_network


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe(name):
    found = load_recipe(name)
    network = found.network
    skeleton = build_skeleton(
        describe_network(
            network.model,
            backbone=network.backbone,
            output_stride=network.output_stride,
            rates=network.rates,
            align_corners=network.align_corners,
            **network.options,
        )
    )
    assert found.title
    assert found.data.name in LAYOUTS
    assert found.validation.every
    assert found.schedule.iterations % found.validation.every == 0
    if network.auxiliary_weight:
        assert -len(skeleton.backbone.channels) <= network.auxiliary_map < len(skeleton.backbone.channels)
    assert build(Recipe, tomllib.loads(write_toml(found).decode()), name) == found


#: What the study's text says: crop, iterations, and the classes' loss beside cross-entropy.
STUDY = {
    "stare-128": ("unet-aspp", 128, 40_000, 0.0),
    "chase-db1-128": ("unet-aspp", 128, 40_000, 0.0),
    "hrf-256": ("unet-aspp", 256, 40_000, 3.0),
    "cityscapes-769-r50": ("deeplabv3", 769, 80_000, 0.0),
    "cityscapes-769-r101": ("deeplabv3", 769, 80_000, 0.0),
    "isaid-896": ("deeplabv3plus", 896, 80_000, 0.0),
    "cityscapes-768-setr-aspp": ("setr-aspp", 768, 80_000, 0.0),
}


@pytest.mark.parametrize("name", STUDY)
def test_the_studys_recipes(name):
    model, crop, iterations, dice = STUDY[name]
    found = load_recipe(name)
    assert (found.network.model, found.data.size, found.schedule.iterations) == (
        model,
        (crop, crop),
        iterations,
    )
    assert found.loss.dice == dice
    assert (found.optimizer.name, found.optimizer.momentum, found.schedule.policy) == ("sgd", 0.9, "poly")
    assert found.augment.scale == (0.5, 2.0)
    assert (found.augment.flip, found.augment.photometric) == (0.5, True)


def test_the_replications_rates():
    assert load_recipe("voc2012-256-replication").network.rates == (8, 12, 16)
    other = load_recipe("voc2012-256-replication-12-16-24")
    assert other.network.rates == (12, 16, 24)
    assert (other.optimizer.name, other.data.size, other.run.batch_size) == ("adam", (256, 256), 4)
    # 200 epochs of 1464 images.
    assert other.schedule.iterations == 200 * 1464 / 4


def test_bases_are_changed_field_by_field(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "hrf-256"\n[network]\nrates = [2, 4, 6]\n')
    (tmp_path / "other.toml").write_text('base = "mine.toml"\n[optimizer]\nlr = 0.1\n')
    found = load_recipe(tmp_path / "other.toml")
    assert (found.network.rates, found.optimizer.lr, found.loss.dice) == ((2, 4, 6), 0.1, 3.0)
    assert found.network.model == "unet-aspp"


def test_changes():
    changes = settings_of(
        [
            "network.rates=5,10,15",
            "optimizer.lr=1e-3",
            "augment.photometric=false",
            "network.options.multi_grid=[1,2,4]",
        ]
    )
    found = load_recipe("cityscapes-769-r50", changes)
    assert found.network.rates == (5, 10, 15)
    assert found.optimizer.lr == 1e-3
    assert found.augment.photometric is False
    assert found.network.options == {"multi_grid": [1, 2, 4]}
    assert found.network.auxiliary_weight == 0.4


def test_another_network_or_dataset_discards_what_belonged_to_the_old_one():
    found = load_recipe(
        "cityscapes-769-r50", {"network": {"model": "lraspp"}, "data": {"name": "synthetic-leaves"}}
    )
    assert found.network == build(Recipe, {"network": {"model": "lraspp"}}, "").network
    assert found.augment.frame is None
    assert found.data.size == (769, 769)
    same = load_recipe("cityscapes-769-r50", {"network": {"model": "deeplabv3"}})
    assert same == load_recipe("cityscapes-769-r50")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=3", 3),
        ("a.b = 0.5", 0.5),
        ("a.b=true", True),
        ("a.b=1,2,3", [1, 2, 3]),
        ("a.b=[1, 2]", [1, 2]),
        ("a.b=resnet18", "resnet18"),
        ("a.b='6'", "6"),
        ("a.b-c=x", "x"),
    ],
)
def test_settings(text, value):
    section, name, found = parse_setting(text)
    assert (section, found) == ("a", value)
    assert name in ("b", "b_c")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": {}}, "has no 'optimiser'; did you mean optimizer"),
        ({"optimizer": {"lrr": 1}}, "optimizer has no 'lrr'; did you mean lr"),
        ({"optimizer": {"lr": 0}}, "lr = 0; expected a number > 0"),
        ({"optimizer": {"lr": float("nan")}}, "lr = nan; expected a number"),
        ({"optimizer": {"lr": "fast"}}, "lr = 'fast'; expected a number"),
        ({"optimizer": {"name": "lion"}}, "name = 'lion'; expected one of sgd, adam, adamw"),
        ({"augment": {"flip": 1.5}}, "flip = 1.5; expected a number <= 1"),
        ({"run": {"ema": 1.0}}, "ema = 1.0; expected a number < 1"),
        ({"run": {"batch_size": 2.5}}, "batch_size = 2.5; expected a whole number"),
        ({"run": {"channels_last": 1}}, "channels_last = 1; expected true or false"),
        ({"run": {"batch_size": True}}, "batch_size = True; expected a whole number"),
        ({"data": {"size": [1, 2, 3]}}, "expected a list of length 2"),
        ({"data": {"size": 0}}, "size = 0; expected a whole number >= 1"),
        ({"network": {"rates": [6, 12.5]}}, "expected a whole number"),
        ({"network": "deeplabv3"}, "network = 'deeplabv3'; expected a table"),
        ({"network": {"options": 3}}, "options = 3; expected a table"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(TrainError) as caught:
        load_recipe("stare-128", changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_recipes_are_named(tmp_path):
    with pytest.raises(TrainError, match=r"no recipe is called 'stare'; did you mean stare-128\?"):
        load_recipe("stare")
    with pytest.raises(TrainError, match="none.toml: No such file"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[run\n")
    with pytest.raises(TrainError, match="is no TOML"):
        load_recipe(tmp_path / "broken.toml")
    (tmp_path / "ring.toml").write_text('base = "ring.toml"\n')
    with pytest.raises(TrainError, match="is its own base"):
        load_recipe(tmp_path / "ring.toml")
    for text in ("lr=3", "optimizer.lr", "=3"):
        with pytest.raises(TrainError, match="expected section.field=value"):
            parse_setting(text)


def test_one_number_stands_for_a_pair():
    assert recipe(data={"size": 65}).data.size == (65, 65)
    assert recipe(network={"rates": 6}).network.rates == (6,)


def test_the_list_is_plain():
    rows = list_recipes()
    assert [row["name"] for row in rows] == recipe_names()
    assert all(row["schedule"]["iterations"] > 0 for row in rows)
    values = plain(load_recipe("hrf-256"))
    assert values["loss"]["dice"] == 3.0
    assert json.loads(json.dumps(values)) == values  # what a saved state is compared with


def test_default_rates_are_the_existing_rule():
    """The study's baseline is 6 at stride 16, 12 at 8; its recommendation for 769 is another."""
    skeleton = build_skeleton(describe_network("deeplabv3", output_stride=8))
    assert skeleton.rates == (12, 24, 36)
    assert round(recommend_rate(769, 8).rate, 2) == 15.35
