"""Builds networks and fits files' tensors to them."""
