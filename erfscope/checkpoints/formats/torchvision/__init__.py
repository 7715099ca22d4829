"""torchvision's segmentation networks."""

from erfscope.checkpoints.formats.torchvision.read import read

__all__ = ["read"]
