"""Random changes of a whole batch at once: shift, rotation, scale, shear, and a smooth elastic displacement.

Source of the idea: Simard, Steinkraus, Platt: Best Practices for Convolutional Neural Networks (2003).
"""

import math

import numpy as np
import torch
from rich.progress import track
from torch.nn.functional import affine_grid, grid_sample, interpolate

from pipeline.datasets.arrays import LabelledImages
from pipeline.params import Augmentation

ELASTIC_NODES = 6  # the displacement is drawn on a grid of 6x6 nodes, and smooth between them
CHUNK = 5_000  # images changed at a time


def augment(images: torch.Tensor, settings: Augmentation, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return a changed copy of `images`, float32 (n, 1, height, width), with black beyond the edges.

    Args:
        settings: the largest change of each kind; see `pipeline.params.Augmentation`.
        generator: where randomness comes from; torch's global generator by default.
    """
    count, _, height, width = images.shape

    def uniform(largest: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * largest

    angle, shear = uniform(math.radians(settings.rotation)), uniform(settings.shear)
    zoom_x, zoom_y = 1 + uniform(settings.scale), 1 + uniform(settings.scale)
    # affine_grid maps a place in the result to a place in the source, in units of half the image's size.
    matrix = torch.zeros(count, 2, 3)  # drawn on the CPU, whatever learns from it
    matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos() / zoom_x, (shear - angle.sin()) / zoom_x
    matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin() / zoom_y, angle.cos() / zoom_y
    matrix[:, 0, 2], matrix[:, 1, 2] = uniform(settings.shift * 2 / width), uniform(settings.shift * 2 / height)
    grid = affine_grid(matrix.to(images.device), list(images.shape), align_corners=False)
    if settings.elastic:
        nodes = torch.randn(count, 2, ELASTIC_NODES, ELASTIC_NODES, generator=generator) * settings.elastic * 2 / width
        field = interpolate(nodes, size=(height, width), mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1).to(images.device)
    return grid_sample(images, grid, align_corners=False)


def enlarge(train: LabelledImages, settings: Augmentation, generator: torch.Generator) -> LabelledImages:
    """Return `train` and `settings.copies` changed copies of it, shuffled."""
    images = [train.images]
    starts = [start for _ in range(settings.copies) for start in range(0, len(train), CHUNK)]
    for start in track(starts, "augment", transient=True):
        originals = torch.from_numpy(train.images[start : start + CHUNK] / np.float32(255))[:, None]
        changed = augment(originals, settings, generator)
        images.append((changed[:, 0] * 255).round().to(torch.uint8).numpy())
    order = torch.randperm(len(train) * (settings.copies + 1), generator=generator).numpy()
    labels = np.tile(train.labels, settings.copies + 1)
    return LabelledImages(np.concatenate(images)[order], labels[order])
