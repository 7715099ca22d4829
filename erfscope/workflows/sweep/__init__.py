"""Trains a network at a list of atrous rates, and holds the prediction against the measurement."""
