"""A network as one flat graph: what of it one unit needs, and a program that computes just that."""
