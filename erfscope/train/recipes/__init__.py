"""Recipes: their fields, how they are loaded, and the recipes of the package."""
