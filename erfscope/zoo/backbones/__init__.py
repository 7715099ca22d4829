"""Backbones: an image (N, 3, H, W) in, a tuple of feature maps out, finest first."""
