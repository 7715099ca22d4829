"""Reads files of weights, of which nothing is executed."""
