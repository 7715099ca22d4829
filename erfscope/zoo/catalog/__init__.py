"""The named networks: one function each, from options to a description."""
