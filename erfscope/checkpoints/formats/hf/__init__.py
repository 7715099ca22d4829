"""Reads networks of transformers, as its `save_pretrained` writes them."""
