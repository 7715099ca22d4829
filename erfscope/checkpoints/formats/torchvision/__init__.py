"""Reads torchvision's segmentation networks."""
