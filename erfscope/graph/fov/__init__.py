"""The field of view that a network's graph predicts: places, receptive field, atrous head, lattice."""
