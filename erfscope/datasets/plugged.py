"""A dataset that another package brings, by the entry-point group `erfscope.datasets`."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from erfscope import plugins
from erfscope.datasets.dataset import IMAGENET_MEAN, IMAGENET_STD, Sample
from erfscope.datasets.streaming import SkippedImage, every_nth
from erfscope.errors import DatasetError, ErfscopeError, ImageError
from erfscope.system.environment import dataset_root

# Labels have none: they are read where there are any, of a plug-in as of a layout.
_DEFAULTS = {
    "root": None, "split": "val", "size": None, "fit": "center-crop", "images": None, "seed": 0,
    "mean": IMAGENET_MEAN, "std": IMAGENET_STD, "channel_order": "rgb", "options": None,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PluggedDataset:
    """Samples of a plug-in, in its own order, which read, crop and normalize themselves.

    Attributes
    ----------
    name
        The plug-in's.
    samples
        What it returned: it has a length, and each item is a `Sample`.
    size
        (H, W) of every sample, px.
    classes
        Class names, if it has an attribute of that name.
    arguments
        The arguments that the plug-in was called with.
    """

    name: str
    samples: Any = field(repr=False)
    size: tuple[int, int]
    classes: tuple[str, ...]
    arguments: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample | SkippedImage]:
        """Yield the samples in order."""
        return self.items(range(len(self)))

    def items(self, places: Sequence[int]) -> Iterator[Sample | SkippedImage]:
        """Yield the samples of these numbers; of an indexed dataset, one that raises `ImageError` is skipped.

        Raises
        ------
        DatasetError
            They are in another order than the dataset's own, in which alone it can be read.
        """
        if not hasattr(self.samples, "__getitem__"):
            if not isinstance(places, range):
                raise DatasetError(
                    f"{self.name} is a plug-in that can be read in its own order only; leave --until out, or "
                    "give it a __getitem__"
                )
            yield from every_nth(self.samples, places)
            return
        for index in places:
            try:
                yield self.samples[index]
            except ImageError as error:
                yield SkippedImage(f"image-{index:05d}", str(error))

    @property
    def channel_order(self) -> str:
        """In which the samples have their channels."""
        return str(self.arguments.get("channel_order", "rgb"))

    def describe(self) -> dict[str, Any]:
        """Tell what a map file records, as JSON can hold it."""
        told = {key: value for key, value in self.arguments.items() if key not in ("labels", "root")}
        root = self.arguments.get("root")
        own = {"name": self.name, "root": root and str(root), "size": list(self.size), "images": len(self)}
        return {**told, **own}


def open_plugged(name: str, given: Mapping[str, Any]) -> PluggedDataset:
    """Call a plug-in with those arguments of `open_dataset` that it takes.

    Parameters
    ----------
    given
        The arguments. A plug-in need not take those that are at their default.

    Raises
    ------
    DatasetError, PluginError
        It doesn't take one that is not at its default, fails, or returns no samples.
    """
    function = plugins.load(plugins.DATASETS, name)
    arguments = _choose_arguments(name, function, given)
    if arguments.get("root", name) is None:
        arguments["root"] = dataset_root(name)
    try:
        samples = function(**arguments)
        dataset = PluggedDataset(name, samples, (0, 0), tuple(getattr(samples, "classes", ())), arguments)
        first = next((each for each in dataset if not isinstance(each, SkippedImage)), None)
    except ErfscopeError:
        raise
    except Exception as error:
        raise plugins.failure(plugins.DATASETS, name, error) from error
    image = getattr(first, "image", None)
    if not isinstance(first, Sample) or not isinstance(image, torch.Tensor) or image.ndim != 3:
        raise DatasetError(
            f"{name} is a plug-in that returned no erfscope.datasets.Sample but {type(first).__name__}; "
            "expected an iterable of samples that has a length"
        )
    return PluggedDataset(name, samples, (image.shape[1], image.shape[2]), dataset.classes, arguments)


def _choose_arguments(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that a plug-in's function takes; refuse those that it lacks."""
    takes = inspect.signature(function).parameters
    anything = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in takes.values())
    for argument, value in given.items():
        if value != _DEFAULTS.get(argument, value) and argument not in takes and not anything:
            raise DatasetError(
                f"{name} is a plug-in that takes no {argument}, and {argument} {value} is asked for, by the "
                "command or by the network's checkpoint; leave it out, or let the plug-in take it"
            )
    return {argument: value for argument, value in given.items() if argument in takes or anything}


def reopen_plugged(dataset: PluggedDataset, changes: Mapping[str, Any]) -> PluggedDataset:
    """Call a dataset's plug-in again with other arguments, unless it was called with just these.

    Raises
    ------
    DatasetError, PluginError
        As `open_plugged`.
    """
    if all(dataset.arguments.get(name, _DEFAULTS[name]) == value for name, value in changes.items()):
        return dataset
    return open_plugged(dataset.name, {**dataset.arguments, **changes})
