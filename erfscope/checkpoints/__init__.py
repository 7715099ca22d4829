"""A name or a weights file in, a ready network out. Nothing of a file is ever executed."""
