"""What joins several rooms, one page each, top to bottom."""
