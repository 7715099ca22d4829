"""The rules: for each operator, the input positions that wanted output positions need.

A rule turns an operation and a wanted region into a `Piece`: which regions of the operands it reads, which
region it yields, and the step that computes it. `table.py` lists them. An operator without a rule needs
everything: slower, never wrong.
"""
