"""Reads TorchScript archives."""
