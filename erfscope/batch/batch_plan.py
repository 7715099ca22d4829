"""What a batch is to do: networks × datasets × sizes × rates, each combination a job.

A plan is a TOML file::

    out = "study"                  # the study's folder; relative paths are relative to the plan's folder
    shards = 4                     # each map is computed in so many parts
    measure = ["star-distance"]    # by default star-distance, fit-gaussian, extent, pattern
    sizes = [769, "512x1024"]      # by default the checkpoint's, else the dataset's
    rates = [[6, 12, 18], "own"]   # of every network that has none of its own; "own": the network's

    [[networks]]                   # what `erfscope compute` says of networks; name, rates
    model = "deeplabv3"
    backbone = "resnet50-v1c"

    [[datasets]]                   # data, root, split, images, fit, data_option; name, sizes
    data = "cityscapes"

    [compute]                      # every other option of `erfscope compute`
    precision = "float64"

    [slurm]                        # see `resources.SlurmOptions`
    partition = "gpu"
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from erfscope.batch.job_names import dataset_name, job_name, network_name
from erfscope.batch.plan_options import COMPUTE, DATASETS, NETWORKS, PlanOptions, absolute
from erfscope.batch.resources import NO_SLURM, SlurmOptions
from erfscope.errors import BatchError, TrainError
from erfscope.train.recipes.fields import build

Measurement = Literal["star-distance", "fit-gaussian", "extent", "pattern"]
OWN_RATES = "own"


@dataclass(frozen=True)
class Job:
    """One map, and what is measured on it.

    Attributes
    ----------
    name
        Also that of its folder.
    network, dataset, size, rates
        Names of its parts; None for the size or the rates that the network or the dataset brings.
    words
        Options of `erfscope compute`, but for where the map goes and which share of the images it takes.
    chosen
        The network's keys of the plan with the rates, paths absolute.
    data
        Name of the layout.
    images
        How many, if the plan says so.
    """

    name: str
    network: str
    dataset: str
    size: str | None
    rates: tuple[int, ...] | None
    words: tuple[str, ...]
    chosen: Mapping[str, Any] = field(repr=False)
    data: str
    images: int | None


@dataclass(frozen=True)
class Plan:
    """A study.

    Attributes
    ----------
    file, out
        The plan and the study's folder, absolute.
    shards
        How many processes share the images of one map.
    measure
        Commands that measure each map.
    """

    file: Path
    out: Path
    shards: int
    measure: tuple[str, ...]
    jobs: tuple[Job, ...]
    slurm: SlurmOptions


@dataclass(frozen=True)
class _Content:
    """The file, key by key."""

    out: str = ""
    shards: Annotated[int, Meta(ge=1)] = 1
    measure: tuple[Measurement, ...] | None = None
    sizes: tuple[Any, ...] | None = None
    rates: tuple[Any, ...] | None = None
    networks: tuple[dict[str, Any], ...] = ()
    datasets: tuple[dict[str, Any], ...] = ()
    compute: dict[str, Any] = field(default_factory=dict)
    slurm: SlurmOptions = NO_SLURM


@dataclass(frozen=True)
class _Part:
    """A network at some rates, or a dataset at some size: its name and its words."""

    name: str
    value: Any
    words: tuple[str, ...]
    keys: Mapping[str, Any]


def read_plan(path: Path, options: PlanOptions) -> Plan:
    """Read a plan and expand it into jobs.

    Raises
    ------
    BatchError
        The file can't be read, a key or a value can't be, or two jobs would have one name.
    """
    file = path.absolute()
    content = _read(file)
    for key, kind in (("out", "a folder"), ("networks", "[[networks]]"), ("datasets", "[[datasets]]")):
        if not getattr(content, key):
            raise BatchError(f"{path.name} has no {key}; expected {kind}")
    for key in ("sizes", "rates", "measure"):
        if getattr(content, key) == ():
            raise BatchError(f"{path.name}: {key} is empty; name one, or leave it out")
    if content.shards > 1 and "until" in content.compute:
        raise BatchError(
            f"{path.name}: [compute] until looks at the whole map, which no shard sees; set shards = 1"
        )
    jobs = tuple(_expand(content, file, options))
    _refuse_twins(jobs, path.name)
    return Plan(
        file=file,
        out=absolute(content.out, file.parent),
        shards=content.shards,
        measure=content.measure or get_args(Measurement),
        jobs=jobs,
        slurm=content.slurm,
    )


def _read(file: Path) -> _Content:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
        return build(_Content, values, file.name)
    except OSError as error:
        raise BatchError(f"{file}: {error.strerror}; expected a plan in TOML") from error
    except ValueError as error:  # of TOML, and of UTF-8
        raise BatchError(f"{file} is no TOML ({error}); correct it") from error
    except TrainError as error:
        raise BatchError(str(error)) from error


def _expand(content: _Content, file: Path, options: PlanOptions) -> Iterator[Job]:
    folder = file.parent
    common = options.words(COMPUTE, content.compute, f"{file.name}: [compute]", folder)
    networks = [
        part
        for number, values in enumerate(content.networks, 1)
        for part in _networks(values, content.rates, f"{file.name}: network {number}", folder, options)
    ]
    datasets = [
        part
        for number, values in enumerate(content.datasets, 1)
        for part in _datasets(values, content.sizes, f"{file.name}: dataset {number}", folder, options)
    ]
    for network, dataset in product(networks, datasets):
        yield Job(
            name=job_name(network.name, dataset.name, dataset.value, network.value, file.name),
            network=network.name,
            dataset=dataset.name,
            size=dataset.value,
            rates=network.value,
            words=(*network.words, *dataset.words, *common),
            chosen=network.keys,
            data=dataset.keys["data"],
            images=int(dataset.keys["images"]) if "images" in dataset.keys else None,
        )


def _networks(
    values: Mapping[str, Any], all_rates: Any, where: str, folder: Path, options: PlanOptions
) -> Iterator[_Part]:
    """Yield a network at each of its rates."""
    keys = {key: value for key, value in values.items() if key not in ("name", "rates")}
    if not isinstance(keys.get("model"), str):
        raise BatchError(
            f'{where} has no model; expected model = "deeplabv3", a checkpoint\'s path or the like'
        )
    name = network_name(values, where)
    keys["model"] = _spec(keys["model"], folder)
    words = options.words(NETWORKS, keys, where, folder)
    for rates in _rates(values.get("rates", all_rates), where):
        if rates is None:
            yield _Part(name, None, words, keys)
        else:
            more = options.option("rates", rates, where, folder)
            yield _Part(name, rates, (*words, *more), keys | {"rates": rates})


def _datasets(
    values: Mapping[str, Any], all_sizes: Any, where: str, folder: Path, options: PlanOptions
) -> Iterator[_Part]:
    """Yield a dataset at each of its sizes."""
    keys = {key: value for key, value in values.items() if key not in ("name", "sizes")}
    if not isinstance(keys.get("data"), str):
        raise BatchError(f'{where} has no data; expected data = "cityscapes" or the like')
    name = dataset_name(values, where)
    words = options.words(DATASETS, keys, where, folder)
    sizes = values.get("sizes", all_sizes)
    if sizes is None:
        yield _Part(name, None, words, keys)
        return
    for size in _filled(sizes, "sizes", where, 'a list such as [769, "512x1024"]'):
        more = options.option("size", size, where, folder)
        yield _Part(name, _size_name(more[1]), (*words, *more), keys)


def _rates(values: Any, where: str) -> Iterator[tuple[int, ...] | None]:
    """Yield each of a list of rates, None for the network's own."""
    if values is None or values == OWN_RATES:
        yield None
        return
    for rates in _filled(values, "rates", where, "a list of lists such as [[6, 12, 18], [12, 24, 36]]"):
        if rates == OWN_RATES:
            yield None
        elif isinstance(rates, list) and rates and all(type(each) is int and each > 0 for each in rates):
            yield tuple(rates)
        else:
            raise BatchError(
                f'{where}: rates has {rates!r}; expected lists of whole numbers, [[6, 12, 18]], or "own"'
            )


def _filled(values: Any, key: str, where: str, expected: str) -> list[Any]:
    if not isinstance(values, (list, tuple)) or not values:
        raise BatchError(f"{where}: {key} = {values!r}; expected {expected}")
    return list(values)


def _size_name(text: str) -> str:
    """Return `769` for `769x769`, so that a size has one name."""
    sides = text.replace("×", "x").replace("X", "x").split("x")
    return sides[0] if len(set(sides)) == 1 else "x".join(sides)


def _spec(model: str, folder: Path) -> str:
    """Make the path in what `--model` takes absolute, also that after a library's name, if it is one."""
    library, colon, rest = model.rpartition(":")
    path = absolute(rest, folder)
    return f"{library}{colon}{path}" if path.exists() or "~" in rest else model


def _refuse_twins(jobs: tuple[Job, ...], where: str) -> None:
    seen: dict[str, Job] = {}
    for job in jobs:
        # Some file systems don't tell capitals from small letters.
        twin = seen.setdefault(job.name.casefold(), job)
        if twin is job:
            continue
        if twin.words == job.words:
            raise BatchError(f"{where}: {job.name} is asked for twice; take one out")
        raise BatchError(
            f"{where}: two jobs are called {job.name}; give their networks or datasets a name = of their own"
        )
