"""Random augmentation of whole batches: shift, rotation, scale, shear, elastic displacement, and other strokes.

Source: Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks (2003).
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from rich.progress import track
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, max_pool2d, pad

from digits.interface import SIZE
from pipeline.datasets.arrays import LabelledImages
from pipeline.params import Augmentation

ELASTIC_NODES = 6  # elastic displacements are drawn on a 6x6 grid and interpolated
CHUNK, CHUNK_PIXELS = 5_000, 5_000_000  # images augmented at a time, and their pixels at most; bounds memory


def augment_batch(images: torch.Tensor, policy: Augmentation, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return an augmented copy of a batch: some images mirrored, all warped, some with other strokes.

    Args:
        images: float32 (n, channels, height, width) in [0, 1], in random order.
        policy: the largest change of each kind, see `pipeline.params.Augmentation`.
        generator: source of randomness; torch's global generator by default.
    """
    if policy.horizontal_flip:
        mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < policy.horizontal_flip
        images = torch.where(mirrored.to(images.device), images.flip(3), images)
    images = warp(images, policy, generator)
    count = round(policy.stroke_style * len(images))
    return torch.cat([perturb_strokes(images[:count], generator), images[count:]])


def augment_dataset(
    train: LabelledImages, policy: Augmentation, seed: int, copies: int = 1
) -> tuple[Iterator[LabelledImages], tuple[int, ...]]:
    """Return `train` with `copies` augmented copies of each image in random order, as batches, and the shape of the
    array of all images. Whatever their number, only a batch is in memory.
    """
    shape = (len(train) * (1 + copies), *train.images.shape[1:])
    return _augmented_batches(train, policy, torch.Generator().manual_seed(seed), shape[0]), shape


def _augmented_batches(
    train: LabelledImages, policy: Augmentation, generator: torch.Generator, count: int
) -> Iterator[LabelledImages]:
    order = torch.randperm(count, generator=generator).numpy()  # the first len(train) are the originals
    size = min(CHUNK, max(1, CHUNK_PIXELS // train.shape.pixels))
    for start in track(range(0, count, size), "augment", transient=True):
        chosen = order[start : start + size]
        batch, copied = train.at(chosen % len(train)), np.flatnonzero(chosen >= len(train))
        images = batch.images.copy()
        if len(copied):
            augmented = augment_batch(torch.from_numpy(batch.at(copied).scaled()), policy, generator)
            pixels = (augmented * 255).round().to(torch.uint8).numpy()
            images[copied] = pixels[:, 0] if pixels.shape[1] == 1 else pixels.transpose(0, 2, 3, 1)
        yield LabelledImages(images, batch.labels)


def warp(images: torch.Tensor, policy: Augmentation, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return `images`, float32 (n, channels, height, width), shifted, rotated, scaled, sheared and elastically
    displaced, with black beyond the edges. Displacements are in pixels of images with sides of 28 pixels.
    """
    count, _, height, width = images.shape

    def uniform(largest: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * largest

    angle, shear = uniform(math.radians(policy.rotation)), uniform(policy.shear)
    zoom_x, zoom_y = 1 + uniform(policy.scale), 1 + uniform(policy.scale)
    # affine_grid maps output coordinates to input coordinates, in units of half the image's size.
    matrix = torch.zeros(count, 2, 3)  # drawn on the CPU, whatever device trains
    matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos() / zoom_x, (shear - angle.sin()) / zoom_x
    matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin() / zoom_y, angle.cos() / zoom_y
    matrix[:, 0, 2], matrix[:, 1, 2] = uniform(policy.shift * 2 / SIZE), uniform(policy.shift * 2 / SIZE)
    grid = affine_grid(matrix.to(images.device), list(images.shape), align_corners=False)
    if policy.elastic:
        nodes = torch.randn(count, 2, ELASTIC_NODES, ELASTIC_NODES, generator=generator) * policy.elastic * 2 / SIZE
        field = interpolate(nodes, size=(height, width), mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1).to(images.device)
    return grid_sample(images, grid, align_corners=False)


def perturb_strokes(images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return a copy of `images`, float32 (n, 1, height, width) in [0, 1], with other strokes: some thicker or thinner;
    some binarised, grainy, blurred, or with another gamma.
    """
    count = len(images)

    def uniform(low: float, high: float) -> torch.Tensor:
        drawn = torch.rand(count, generator=generator) * (high - low) + low  # on the CPU, whatever device trains
        return drawn[:, None, None, None].to(images.device)

    def where(drawn: torch.Tensor, low: float, high: float, changed: torch.Tensor) -> torch.Tensor:
        return torch.where((drawn >= low) & (drawn < high), changed, images)

    width, amount = uniform(0, 1), uniform(0, 1)
    images = where(width, 0, 0.2, torch.lerp(images, max_pool2d(images, 3, 1, 1), amount))
    images = where(width, 0.2, 0.35, torch.lerp(images, -max_pool2d(-pad(images, (0, 1, 0, 1)), 2, 1), amount))
    texture = uniform(0, 1)
    images = where(texture, 0, 0.2, (images > uniform(0.15, 0.6)).float())
    grains = torch.rand(images.shape, generator=generator).to(images.device) < uniform(0.5, 0.95)
    images = where(texture, 0.2, 0.3, images * grains)
    images = where(texture, 0.3, 0.4, (avg_pool2d(images, 3, 1, 1) * 1.4).clamp(max=1))
    return where(texture, 0.4, 0.6, images ** uniform(0.5, 2))
