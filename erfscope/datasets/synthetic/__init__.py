"""Layouts that need no files: synthetic scenes with labels."""
