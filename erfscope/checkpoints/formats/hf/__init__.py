"""Networks of transformers, as its `save_pretrained` writes them."""

from erfscope.checkpoints.formats.hf.hf_reader import read, read_described

__all__ = ["read", "read_described"]
