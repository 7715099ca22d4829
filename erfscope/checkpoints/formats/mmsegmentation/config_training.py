"""Reads from an mmsegmentation config and checkpoint what the network was trained on."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from erfscope.records.model_info import TrainingFacts

_MAX_VALUE = 255.0  # mmsegmentation normalizes images as they are stored, in 0 to 255
# Where steps and datasets are described: of 1.x and, in `data`, of 0.x. What is used in tests goes first.
_PLACES = ("test_pipeline", "test_dataloader", "data", "val_dataloader", "train_pipeline", "train_dataloader")

_Triple = tuple[float, float, float]
_T = TypeVar("_T")


def read_facts(config: Mapping[str, Any], meta: Mapping[str, Any]) -> TrainingFacts:
    """Return classes, palette, normalization and crop size.

    Parameters
    ----------
    config
        As `config_text.parse_config` reads it, of mmsegmentation 0.x or 1.x.
    meta
        Metadata of the checkpoint; its classes and palette go before the config's.

    Returns
    -------
    TrainingFacts
        Mean and std are of R, G, B in 0 to 1, whatever scale and order the config has them in. A network
        that took images in 0 to 255 has mean 0 and std 1/255. What isn't said, or isn't as expected, is
        left at its default.
    """
    described = [meta.get("dataset_meta"), meta, *_dicts(config)]
    mean, std, channel_order = _normalization(config)
    return TrainingFacts(
        classes=_first(_classes(_either(each, "classes", "CLASSES")) for each in described) or (),
        palette=_first(_palette(_either(each, "palette", "PALETTE")) for each in described) or (),
        mean=mean,
        std=std,
        channel_order=channel_order,
        crop_size=_crop_size(config),
    )


def _normalization(config: Mapping[str, Any]) -> tuple[_Triple | None, _Triple | None, str]:
    preprocessor = _preprocessor(config)
    step = _first(_steps(config, "Normalize")) or config.get("img_norm_cfg")
    if preprocessor.get("mean") is None and isinstance(step, Mapping):
        order = "rgb" if step.get("to_rgb", True) else "bgr"
        return *_mean_and_std(step, order), order
    # Images are loaded as B, G, R; without a flag they stay so.
    order = "rgb" if preprocessor.get("bgr_to_rgb") else "bgr"
    if preprocessor.get("mean") is not None:
        return *_mean_and_std(preprocessor, order), order
    if "type" in preprocessor:
        return (0.0, 0.0, 0.0), (1 / _MAX_VALUE,) * 3, order
    return None, None, TrainingFacts.channel_order


def _mean_and_std(said: Mapping[str, Any], order: str) -> tuple[_Triple | None, _Triple | None]:
    mean, std = _triple(said.get("mean"), order), _triple(said.get("std"), order)
    return (mean, std) if mean and std and all(std) else (None, None)


def _triple(values: Any, order: str) -> _Triple | None:
    if not isinstance(values, list | tuple) or len(values) != 3:
        return None
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return None
    red, green, blue = values if order == "rgb" else reversed(values)
    return red / _MAX_VALUE, green / _MAX_VALUE, blue / _MAX_VALUE


def _crop_size(config: Mapping[str, Any]) -> tuple[int, int] | None:
    steps = (step.get("crop_size") for step in _steps(config, "RandomCrop"))
    said = (_preprocessor(config).get("size"), config.get("crop_size"), *steps)
    return _first(_size(size) for size in said)


def _size(size: Any) -> tuple[int, int] | None:
    height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
    return (height, width) if type(height) is type(width) is int and min(height, width) > 0 else None


def _classes(names: Any) -> tuple[str, ...] | None:
    fits = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return tuple(names) if fits else None


def _palette(colors: Any) -> tuple[tuple[int, int, int], ...] | None:
    if not isinstance(colors, list | tuple) or not all(_is_color(color) for color in colors):
        return None
    return tuple((red, green, blue) for red, green, blue in colors)


def _is_color(color: Any) -> bool:
    if not isinstance(color, list | tuple) or len(color) != 3:
        return False
    return all(type(value) is int and 0 <= value <= _MAX_VALUE for value in color)


def _preprocessor(config: Mapping[str, Any]) -> Mapping[str, Any]:
    model = config.get("model")
    said = model.get("data_preprocessor") if isinstance(model, Mapping) else None
    said = said or config.get("data_preprocessor")
    return said if isinstance(said, Mapping) else {}


def _steps(config: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    return (step for step in _dicts(config) if step.get("type") == kind)


def _dicts(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Walk the dicts that describe steps and datasets, the outer before the inner."""
    waiting = [config.get(place) for place in reversed(_PLACES)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield value
        if isinstance(value, Mapping | list | tuple):
            waiting += reversed([*value.values()] if isinstance(value, Mapping) else [*value])


def _either(described: Any, name: str, old_name: str) -> Any:
    return described.get(name, described.get(old_name)) if isinstance(described, Mapping) else None


def _first(values: Iterator[_T | None]) -> _T | None:
    return next((value for value in values if value), None)
