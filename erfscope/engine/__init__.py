"""From any `nn.Module` and a stream of images to sums of clipped gradients: plan once, then loop."""
