"""What is done with any `nn.Module`: freeze it, find its logits, run it up to a layer."""
