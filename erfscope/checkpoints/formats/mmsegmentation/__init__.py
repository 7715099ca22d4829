"""Reads mmsegmentation's checkpoints and configs, without it and without executing anything."""
