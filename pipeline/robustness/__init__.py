"""Corruptions of images, and the canonicalizer that undoes some of them."""
