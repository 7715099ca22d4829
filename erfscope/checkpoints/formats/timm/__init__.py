"""Reads timm's networks, as classifiers and as backbones."""
