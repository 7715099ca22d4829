"""A network as one flat graph, what of it a unit needs, and how to compute just that."""
