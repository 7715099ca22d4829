"""The field of view that a captured network predicts: places, receptive field, atrous head, lattice."""
