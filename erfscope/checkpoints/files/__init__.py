"""Reads weights files and descriptions safely: nothing in them is executed."""
