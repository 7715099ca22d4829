"""Normalization of images for the encoders of segmentation_models_pytorch, without asking its hub.

The library keeps these numbers in its hub beside the encoders' weights, and up to release 0.3.4 kept them in
its code, from where these are: all encoders take RGB in 0 to 1.
"""

from typing import Any

from erfscope.checkpoints.library import import_library
from erfscope.records.model_info import TrainingFacts

Triple = tuple[float, float, float]

_IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALVES: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_DPN: tuple[Triple, Triple] = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)
_HALVES_ENCODERS = ("inceptionv4", "inceptionresnetv2", "xception", "timm-tf_efficientnet_lite")


def read_preprocessing(encoder: str, weights: Any, spec: str) -> TrainingFacts:
    """Tell with which mean and std a network was trained, from its encoder and what that was pretrained on.

    Parameters
    ----------
    encoder, weights
        `encoder_name` and `encoder_weights` of the network's description; without weights nothing is told.
    """
    if not weights:
        return TrainingFacts()
    mean, std = _of_timm(encoder[3:], spec) if encoder.startswith("tu-") else _of_own(encoder, weights)
    return TrainingFacts(mean=mean, std=std)


def _of_own(encoder: str, weights: Any) -> tuple[Triple, Triple]:
    if encoder.startswith(_HALVES_ENCODERS) or weights == "advprop":
        return _HALVES
    return _DPN if encoder.startswith("dpn") else _IMAGENET


def _of_timm(name: str, spec: str) -> tuple[Triple | None, Triple | None]:
    config = import_library("timm", "smp", spec).get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        return None, None
    mean, std = ((float(r), float(g), float(b)) for r, g, b in (config.mean, config.std))
    return mean, std
