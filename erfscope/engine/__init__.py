"""Any `nn.Module` and a stream of images in, sums of clipped gradients out. Plan once, then loop."""
