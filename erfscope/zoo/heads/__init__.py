"""Heads: the backbone's feature maps in, logits at one of their sizes out."""
