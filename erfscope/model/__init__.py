"""What any `nn.Module` needs: a frozen evaluation, and its logits found."""
