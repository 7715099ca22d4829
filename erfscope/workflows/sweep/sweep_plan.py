"""The plan of a sweep: a recipe, the rates, and how maps are computed."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from erfscope.errors import NetworkError, TrainError
from erfscope.train.recipes.fields import build, plain
from erfscope.train.recipes.load_recipe import load_recipe, recipe_names
from erfscope.train.recipes.recipe import Count, Recipe, Sides
from erfscope.workflows.train_network import recipe_changes
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.catalog.entries import describe_network


@dataclass(frozen=True)
class _SweepKeys:
    """Options that only a sweep has; a plan may hold these and every option of `erfscope train`."""

    recipe: str = ""
    base_rates: tuple[Count, ...] = ()
    output_strides: tuple[Count, ...] = ()
    seeds: Count = 1
    erf_size: Sides | None = None
    erf_images: Count | None = None
    untrained: bool = False
    baseline: str | None = None


_OWN = tuple(field.name for field in fields(_SweepKeys))


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep trains and measures.

    Attributes
    ----------
    recipe
        The recipe of every run, except for its rates, output stride and seed.
    base_rates
        Base rates R; the head's rates are R, 2R, 3R for ASPP, else R times the ratios of its default rates.
    output_strides
        Output strides; None is the recipe's.
    seeds
        Runs at each base rate and output stride, with the recipe's seed, the next one, and so on.
    erf_size
        (H, W) of the maps, px; None for the crop that is trained on.
    erf_images
        How many images a map is computed from; None for all of the validation split.
    untrained
        Compute the maps of the networks before training, too.
    baseline
        A network of the catalog without an atrous head, trained alike; None for no such row.
    """

    recipe: Recipe
    base_rates: tuple[int, ...]
    output_strides: tuple[int | None, ...] = (None,)
    seeds: int = 1
    erf_size: tuple[int, int] | None = None
    erf_images: int | None = None
    untrained: bool = False
    baseline: str | None = None

    def fixed(self) -> dict[str, Any]:
        """Return what must stay the same when a sweep is resumed or extended, JSON-able."""
        recipe = plain(self.recipe)
        recipe["network"] = {
            k: v for k, v in recipe["network"].items() if k not in ("rates", "output_stride")
        }
        return {
            "recipe": recipe,
            "erf_size": None if self.erf_size is None else list(self.erf_size),
            "erf_images": self.erf_images,
            "untrained": self.untrained,
        }


@dataclass(frozen=True)
class PlannedRun:
    """One network to train; `name` is that of its folder."""

    name: str
    recipe: Recipe
    base_rate: int | None


def read_plan(file: Path | None, options: Mapping[str, Any]) -> SweepPlan:
    """Read a plan from a TOML file and from options, which take precedence.

    Parameters
    ----------
    file
        Its keys are the options' names; a table `set` holds fields of the recipe by section.
    options
        Options of `erfscope sweep`; those that are None, False or empty weren't given.

    Raises
    ------
    TrainError, NetworkError
        There is no such recipe, or the network can't have these rates.
    """
    given = {name: value for name, value in options.items() if value not in (None, False, ())}
    asked = _read_file(file) | given if file else given
    own = build(_SweepKeys, {k: asked[k] for k in _OWN if k in asked}, file.name if file else "the sweep")
    if not own.base_rates:
        raise TrainError("no rates to sweep over; give --base-rates 3,4,5,6")
    recipe = load_recipe(own.recipe or _recipe_of_dataset(asked.get("data")), _changes(asked))
    if recipe.network.rates is not None:
        recipe = replace(recipe, network=replace(recipe.network, rates=None))
    plan = SweepPlan(
        recipe=recipe,
        base_rates=tuple(dict.fromkeys(own.base_rates)),
        output_strides=tuple(dict.fromkeys(own.output_strides)) or (None,),
        seeds=own.seeds,
        erf_size=own.erf_size,
        erf_images=own.erf_images or asked.get("images"),
        untrained=own.untrained,
        baseline=own.baseline,
    )
    list(planned_runs(plan))  # a rate that the network can't have is refused before hours of training
    return plan


def planned_runs(plan: SweepPlan) -> Iterator[PlannedRun]:
    """Yield all runs: every base rate of one seed before the next seed, so that a table fills evenly.

    Raises
    ------
    NetworkError
        The network has no atrous rates, or can't have these.
    """
    cases = [case for stride in plan.output_strides for case in _cases(plan, stride)]
    for seed in range(plan.recipe.run.seed, plan.recipe.run.seed + plan.seeds):
        for case in cases:
            run = replace(case.recipe.run, seed=seed)
            yield replace(case, name=f"{case.name}-seed{seed}", recipe=replace(case.recipe, run=run))


def _cases(plan: SweepPlan, stride: int | None) -> Iterator[PlannedRun]:
    """Yield the runs at an output stride; the network is built once to learn its default rates."""
    recipe, at = plan.recipe, ""
    if stride is not None:
        recipe = replace(recipe, network=replace(recipe.network, output_stride=stride))
        at = f"stride{stride}-"
    if plan.baseline is not None:
        yield PlannedRun(f"{at}baseline", _as_baseline(recipe, plan.baseline), None)
    multiples = _multiples(recipe)
    for base in plan.base_rates:
        network = replace(recipe.network, rates=tuple(base * multiple for multiple in multiples))
        yield PlannedRun(f"{at}rate{base}", replace(recipe, network=network), base)


def _multiples(recipe: Recipe) -> list[int]:
    """Return the head's own rates in units of the first: 1, 2, 3 for ASPP."""
    own = _describe_rates(recipe)
    if not own:
        raise NetworkError(f"{recipe.network.model} has no atrous rates to sweep over; name one with ASPP")
    if any(rate % own[0] for rate in own):
        raise NetworkError(f"{recipe.network.model}'s rates {list(own)} are no multiples of the first")
    return [rate // own[0] for rate in own]


def _describe_rates(recipe: Recipe) -> tuple[int, ...] | None:
    chosen = recipe.network
    description = describe_network(
        chosen.model, backbone=chosen.backbone, output_stride=chosen.output_stride, **chosen.options
    )
    return build_skeleton(description).rates


def _as_baseline(recipe: Recipe, model: str) -> Recipe:
    """Replace the network; options that the baseline doesn't have belonged to the other's head."""
    network = replace(recipe.network, model=model, options={}, rates=None)
    changed = replace(recipe, network=network)
    if _describe_rates(changed):
        raise NetworkError(f"the baseline {model} has atrous rates itself; name one without, such as fcn")
    return changed


def _read_file(path: Path) -> dict[str, Any]:
    try:
        asked = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainError(f"{path}: {error.strerror}; expected a plan in TOML") from error
    except ValueError as error:  # of TOML, and of UTF-8
        raise TrainError(f"{path} is no TOML ({error}); correct it") from error
    changes = asked.pop("set", {})
    for name in ("option", "data_option"):
        if isinstance(asked.get(name), dict):
            asked[name] = tuple(asked[name].items())
    return asked | {"set": changes}


def _recipe_of_dataset(data: str | None) -> str:
    """Return the name of the recipe that is named as the dataset."""
    if data not in recipe_names():
        raise TrainError(f"no recipe is named; give --recipe: {', '.join(recipe_names())}")
    return data


def _changes(asked: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the fields that a plan changes; `images` sets the number of validation images, too."""
    flags = recipe_changes({name: value for name, value in asked.items() if name not in _OWN})
    merged = {"data": {"val_images": asked["images"]}} if "images" in asked else {}
    for changes in (asked.get("set", {}), flags):
        for section, values in changes.items():
            merged[section] = {**merged.get(section, {}), **values}
    return merged
