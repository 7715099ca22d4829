"""Layouts on disk: one reader each."""
