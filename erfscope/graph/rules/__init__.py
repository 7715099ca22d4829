"""The rules: for each operator, the input positions that wanted output positions need.

A rule has an operator's access maps, and turns a wanted region into an `OpPlan`: which regions of the
operands are read, which region comes out, and the step that computes it. `rule_table.py` lists the rules. An
operator without a rule needs everything: slower, never wrong.
"""
