"""TorchScript archives."""

from erfscope.checkpoints.formats.torchscript.torchscript_reader import read

__all__ = ["read"]
