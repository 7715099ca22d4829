"""The options of a map: one object that Python and the command line fill, and that the map records."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any, Literal, TypeVar

from erfscope.errors import ComputeError
from erfscope.records.choices import ENGINES, FORMULAS, PRECISIONS
from erfscope.records.shard import Shard

DECIDES_NUMBERS = {"decides_numbers": True}
"""Metadata of an option that a resumed run must share."""

T = TypeVar("T")


def _decisive(default: T) -> T:
    """Declare an option that decides the map's numbers, with its default."""
    marked: T = field(default=default, metadata=DECIDES_NUMBERS)
    return marked


@dataclass(frozen=True)
class ComputeOptions:
    """How a map is computed: the options of `compute_erf` and `erfscope compute`, checked once.

    What needs the network, the images or the device (a class, a layer, "tf32" on a CPU) is checked when the
    run is planned.

    Attributes
    ----------
    formula
        How an image's gradient becomes its contribution: "paper" (Eq. 1 of arXiv 2307.14179), "replknet",
        "openerf" or "luo2016". Decides numbers.
    target
        What is summed at the unit: "logits" (all classes), "predicted" (each image's highest logit),
        "margin" (that logit minus the mean of the others), a class id, or a class name of the dataset.
        Decides numbers.
    unit
        (y, x) in the output map, the name of a layer (its central feature), or None for the output's center
        (H // 2, W // 2). Decides numbers.
    resize
        Resize low-resolution logits bilinearly to the image's size before the unit is taken. Decides numbers.
    precision
        "float32", "float64", "bfloat16", or "tf32" on CUDA; sums are float64. Of the last two, the map's
        deviation from float32 on the first images is recorded. Decides numbers.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    batch_size
        Images a batch. "auto" takes what fits a CUDA device's memory, and 1 on the CPU. Decides numbers, by
        rounding.
    workers
        Processes that read a dataset's images, as far as there are cores; None chooses. Threads take the
        remaining cores.
    replicates
        G, the number of disjoint image groups whose partial sums are kept for error bars; 0 keeps none.
        Decides numbers.
    max_skipped
        Share (0 to 1) of broken images, or of images with non-finite gradients, above which the run fails.
    seed
        Seed of the image groups, and of the images' order with `until`. Decides numbers.
    engine
        "auto" computes only what the unit needs, where the network can be captured as a graph; "dense" runs
        plain autograd over the whole network. They differ by rounding. Decides numbers.
    shard
        (i, n): take the images number i, i + n, …, from 0 on. `merge_maps` makes one map of all n. Decides
        numbers.
    until
        Relative standard error (0.01 is 1 %). Take the images in a seeded random order, and stop when the
        error of the smoothed map, and of the arms' distances if there is a star, stays below it over two
        checks; None takes all images. Decides numbers. See `measure.sampling_error`.

    Raises
    ------
    ComputeError
        An option that can't be, in one line.

    Examples
    --------
    >>> import erfscope
    >>> options = erfscope.ComputeOptions(formula="luo2016", batch_size=8)
    >>> options.replicates
    16
    >>> erfscope.ComputeOptions(until=-1)
    Traceback (most recent call last):
        ...
    erfscope.errors.ComputeError: --until is a relative error such as 0.01, not -1
    """

    formula: str = _decisive("paper")
    target: str | int = _decisive("logits")
    unit: tuple[int, int] | str | None = _decisive(None)
    resize: bool = _decisive(True)
    precision: str = _decisive("float32")
    device: str = "auto"
    batch_size: int | Literal["auto"] = _decisive("auto")
    workers: int | None = None
    replicates: int = _decisive(16)
    max_skipped: float = 0.01
    seed: int = _decisive(0)
    engine: str = _decisive("auto")
    shard: tuple[int, int] = _decisive((0, 1))
    until: float | None = _decisive(None)

    def __post_init__(self) -> None:
        _check_name("formula", self.formula, FORMULAS)
        _check_name("precision", self.precision, PRECISIONS)
        _check_name("engine", self.engine, ENGINES)
        if self.batch_size != "auto":
            if not isinstance(self.batch_size, Integral):
                raise ComputeError(f"batch size {self.batch_size!r}: expected a number of images or 'auto'")
            if self.batch_size < 1:
                raise ComputeError(f"a batch holds at least one image, not {self.batch_size}")
        for name in ("workers", "replicates", "seed"):
            number = getattr(self, name)
            if number is not None and number < 0:
                raise ComputeError(f"{name} {number}: expected a whole number, at least 0")
        if not 0 <= self.max_skipped <= 1:
            raise ComputeError(f"max_skipped {self.max_skipped:g}: expected a share from 0 to 1")
        shard = Shard(*self.shard)  # which checks it
        if self.until is not None:
            self._check_until(self.until, shard)

    def _check_until(self, until: float, shard: Shard) -> None:
        if not (until > 0 and math.isfinite(until)):
            raise ComputeError(f"--until is a relative error such as 0.01, not {until:g}")
        if not shard.is_whole:
            raise ComputeError("--until looks at the whole map, which no shard sees; leave --shard or it out")
        from erfscope.measure.replicate_groups import (
            MIN_GROUPS,  # with scipy.stats, a second of a run's start
        )

        if self.replicates < MIN_GROUPS:
            raise ComputeError(
                f"--until needs {MIN_GROUPS} image groups to tell an error by, not {self.replicates}; raise "
                "--replicates"
            )

    def decisive(self) -> dict[str, Any]:
        """Return the options that decide the map's numbers, as JSON can hold them."""
        marked = [each.name for each in fields(self) if each.metadata == DECIDES_NUMBERS]
        return {name: value for name, value in self.summary().items() if name in marked}

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        options = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}
        unit = list(map(_plain, self.unit)) if isinstance(self.unit, tuple) else self.unit
        return options | {"unit": unit, "shard": str(Shard(*self.shard))}

    @classmethod
    def from_summary(cls, options: Mapping[str, Any]) -> "ComputeOptions":
        """Return the options of a JSON form; those that it lacks are at their default."""
        given = dict(options)
        if isinstance(given.get("unit"), list):
            given["unit"] = tuple(given["unit"])
        if "shard" in given:
            index, count = map(int, given["shard"].split("/"))
            given["shard"] = (index, count)
        return cls(**given)


def _check_name(option: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise ComputeError(f"no {option} is called {name!r}; expected {', '.join(known)}")


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as Python's, which JSON takes."""
    return value.item() if hasattr(value, "item") else value
