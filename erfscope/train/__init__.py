"""Training: recipes, losses, the loop, and what it leaves on disk."""
