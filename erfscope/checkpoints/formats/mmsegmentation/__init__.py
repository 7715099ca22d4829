"""Reads what mmsegmentation says of its networks, without it and without executing anything."""

from erfscope.checkpoints.formats.mmsegmentation.mmsegmentation_reader import config_text, read_described

__all__ = ["config_text", "read_described"]
