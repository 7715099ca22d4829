"""Scores of predictions against labels: inference, confusion matrices, bands about boundaries."""
