"""Reads preprocessing and classes from a folder of transformers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from erfscope.checkpoints.files.json_file import read_json
from erfscope.errors import CheckpointError
from erfscope.records.model_info import TrainingFacts

Triple = tuple[float, float, float]

# These take B, G, R, and no normalization, unless the file says otherwise.
_MOBILE = ("mobilevit", "mobilevitv2")
# Their position embeddings are made for one size of images; others name one that means nothing.
_WITH_POSITIONS = ("beit", "data2vec-vision", "dpt", "eomt", "eomt_dinov3")
_MAX_SIDE = 10_000  # px
_MAX_SCALE = 1e6
_TO_UNIT = 1 / 255  # of images in 0 to 255


def read_facts(folder: Path, config: Any) -> TrainingFacts:
    """Read what the image processor beside a config.json does, and the names of the classes.

    Raises
    ------
    CheckpointError
        The image processor's file is damaged.
    """
    path, settings = _image_processor(folder)
    mobile = config.model_type in _MOBILE
    if settings:
        settings = {"do_normalize": not mobile, "do_flip_channel_order": mobile, **settings}
    mean, std = _normalization(settings, path) or (None, None)
    own_size = size_of(config.image_size) if config.model_type in _WITH_POSITIONS else None
    return TrainingFacts(
        classes=_classes(config.id2label),
        mean=mean,
        std=std,
        channel_order="bgr" if settings.get("do_flip_channel_order") else "rgb",
        crop_size=_crop_size(settings) or own_size,
    )


def size_of(value: Any) -> tuple[int, int] | None:
    """Return a side, a pair or a mapping of height and width as (H, W); None for what no image has."""
    if isinstance(value, Mapping):
        value = (value.get("height"), value.get("width"))
    elif isinstance(value, int):
        value = (value, value)
    if isinstance(value, Sequence) and len(value) == 2 and all(type(side) is int for side in value):
        return (value[0], value[1]) if 0 < min(value) <= max(value) <= _MAX_SIDE else None
    return None


def _image_processor(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    path = folder / "preprocessor_config.json"
    if path.is_file():
        return path, read_json(path)
    path = folder / "processor_config.json"  # of processors that take texts, too
    settings = read_json(path).get("image_processor") if path.is_file() else None
    return path, settings if isinstance(settings, dict) else {}


def _normalization(settings: Mapping[str, Any], path: Path) -> tuple[Triple, Triple] | None:
    """Mean and std of R, G, B in 0 to 1, whatever range the network takes; None if it isn't told.

    With a pixel v in 0 to 1, factor f and s = 255 f: (255 f v − m) / d = (v − m/s) / (d/s).
    """
    if not settings or (settings["do_normalize"] and "image_mean" not in settings):
        return None
    factor = _number(settings.get("rescale_factor", _TO_UNIT), path)
    range_ = 255 * factor if settings.get("do_rescale", True) else 255.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    if settings["do_normalize"]:
        mean, std = _triple(settings["image_mean"], path), _triple(settings.get("image_std"), path)
    if min(range_, *std) < 1 / _MAX_SCALE:
        raise CheckpointError(f"{path} scales images by nothing; correct rescale_factor or image_std")
    return _divided(mean, range_), _divided(std, range_)


def _triple(value: Any, path: Path) -> Triple:
    values = value if isinstance(value, list) else [value] * 3
    if len(values) != 3:
        raise CheckpointError(f"{path} normalizes {len(values)} channels; expected three, R, G, B")
    red, green, blue = (_number(each, path) for each in values)
    return red, green, blue


def _number(value: Any, path: Path) -> float:
    if type(value) not in (int, float) or not abs(value) < _MAX_SCALE:  # nor is "not a number"
        raise CheckpointError(f"{path} normalizes by {str(value)[:40]!r}; expected a usual number")
    return float(value)


def _divided(values: Triple, by: float) -> Triple:
    red, green, blue = (value / by for value in values)
    return red, green, blue


def _crop_size(settings: Mapping[str, Any]) -> tuple[int, int] | None:
    """(H, W) to which images are brought, where that is fixed."""
    cropped = size_of(settings.get("crop_size")) if settings.get("do_center_crop", True) else None
    fixed = "max_size" not in settings  # the older way to limit the longer side; `size` is the shorter one's
    return cropped or (size_of(settings.get("size")) if fixed else None)


def _classes(labels: Any) -> tuple[str, ...]:
    """Names in the order of the logits; none for transformers' own placeholders."""
    names = tuple(str(labels[index]) for index in sorted(labels))
    placeholders = tuple(f"LABEL_{index}" for index in range(len(names)))
    return () if names == placeholders else names
