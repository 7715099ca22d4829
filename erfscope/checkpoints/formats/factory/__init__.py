"""`package.module:function`: a network of the user's own code."""

from erfscope.checkpoints.formats.factory.factory_reader import read

__all__ = ["read"]
