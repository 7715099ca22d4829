"""segmentation_models_pytorch's networks."""

from erfscope.checkpoints.formats.smp.smp_reader import read, read_described

__all__ = ["read", "read_described"]
