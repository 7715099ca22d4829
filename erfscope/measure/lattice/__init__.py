"""Lattices of blobs, as atrous convolutions leave them in a map: searched for, then fitted.

A map of clipped gradients estimates a root mean square, so contributions of several taps add in its
square. All rooms here work on E², averaged in square cells about the unit's projected center.
"""
