"""2D Gaussians fitted to a map by least squares; start at `gaussian_fit.fit_gaussian`.

The map's scale is taken out, so that the fit sees numbers near one; a Gaussian is fitted to the means over
bins that suit it, and again without each group of images, which gives the errors and chooses the shape.
"""
