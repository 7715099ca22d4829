"""Readers of datasets on disk, one for each layout."""
