"""torchvision's segmentation networks."""

from erfscope.checkpoints.formats.torchvision.torchvision_reader import read

__all__ = ["read"]
