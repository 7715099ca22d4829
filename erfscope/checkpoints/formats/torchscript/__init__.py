"""TorchScript archives."""

from erfscope.checkpoints.formats.torchscript.read import read

__all__ = ["read"]
