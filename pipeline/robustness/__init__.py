"""Corruptions of images, and the canonicalizer that restores corrupted ones.

random_corruptions.py  to train on
denoiser.py            the network that restores images
canonicalize.py        the canonicalizer: denoiser, centring and scaling
corruptions.py         the development suite
held_out.py            the held-out suite, measured once per release
mnist_c.py             the published files of MNIST-C
"""
