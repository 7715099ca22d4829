"""Figures of maps and measurements."""
