"""Measurements on maps. They see the array, the center and the replicates, never a prediction."""
