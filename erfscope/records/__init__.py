"""Frozen results, data only: what one room hands to another and what a file keeps.

No torch here: a map can be read, measured and drawn where torch is not wanted.
"""
