"""Reads what mmsegmentation says of its networks, without it and without executing anything."""
