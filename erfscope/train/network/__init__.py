"""The network as it is trained: its first weights, its auxiliary head, its average."""
