"""Reads networks of segmentation_models_pytorch."""
