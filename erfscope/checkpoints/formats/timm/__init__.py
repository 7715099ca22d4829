"""timm's networks, as classifiers and as backbones."""

from erfscope.checkpoints.formats.timm.timm_reader import read

__all__ = ["read"]
