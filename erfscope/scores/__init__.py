"""Scores of predictions against labels: inference as the papers do it, confusion, bands about boundaries."""
