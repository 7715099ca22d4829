"""timm's networks, as classifiers and as backbones."""

from erfscope.checkpoints.formats.timm.read import read

__all__ = ["read"]
