"""The fixed lists that options choose from, free of torch so that `--help` and shell completion name them.

The rooms that implement a choice hold what it means; a test holds these lists to theirs.
"""

FORMULAS = ("paper", "replknet", "openerf", "luo2016")
"""How an image's gradient becomes its contribution; see `engine.formulas`."""

PRECISIONS = ("float32", "float64", "bfloat16", "tf32")
"""What images, weights and gradients are held in; see `system.precision`."""

ENGINES = ("auto", "dense")
"""Compute what the unit needs, or the whole network by plain autograd; see `engine.engines`."""

FITS = ("center-crop", "resize", "random-crop")
"""How images come to a size; see `datasets.fit_to_size`."""

MODES = ("whole", "slide")
"""How an image is scored: in one piece, or window by window; see `scores.inference`."""

SCALES = ("log", "linear", "power")
"""How a map's values become colors; see `report.map_figure`."""

SHAPES = ("auto", "symmetric", "axis-aligned", "rotated")
"""Which Gaussian is fitted; see `measure.gaussian`."""
