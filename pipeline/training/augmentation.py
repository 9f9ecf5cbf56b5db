"""Random augmentation of whole batches: shift, rotation, scale, shear, elastic displacement, and other strokes.

Source: Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks (2003).
"""

import math

import numpy as np
import torch
from rich.progress import track
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, max_pool2d, pad

from digits.interface import SIZE
from pipeline.datasets.arrays import LabelledImages
from pipeline.params import Augmentation
from pipeline.training.numerics import sqrt

ELASTIC_NODES = 6  # elastic displacements are drawn on a 6x6 grid and interpolated
CHUNK = 5_000  # images augmented at a time; bounds memory
INK = 0.4  # brightness from which a pixel counts as ink, when looking for the ends of a 1


def augment_batch(
    images: torch.Tensor, labels: torch.Tensor, policy: Augmentation, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return an augmented copy of a batch: upstrokes on some ones, all images warped, some with other strokes.

    Args:
        images: float32 (n, 1, 28, 28) in [0, 1], in random order.
        labels: (n,) digits.
        policy: the largest change of each kind, see `pipeline.params.Augmentation`.
        generator: source of randomness; torch's global generator by default.
    """
    images = warp(add_upstrokes(images, labels, policy.upstroke, generator), policy, generator)
    count = round(policy.stroke_style * len(images))
    return torch.cat([perturb_strokes(images[:count], generator), images[count:]])


def augment_dataset(train: LabelledImages, policy: Augmentation, generator: torch.Generator) -> LabelledImages:
    """Return `train` together with one augmented copy of each image, shuffled."""
    order = torch.randperm(len(train), generator=generator).numpy()
    images, labels = [train.images], train.labels[order]
    for start in track(range(0, len(train), CHUNK), "augment", transient=True):
        rows = order[start : start + CHUNK]
        originals = torch.from_numpy(train.images[rows] / np.float32(255))[:, None]
        augmented = augment_batch(originals, torch.from_numpy(train.labels[rows]), policy, generator)
        images.append((augmented[:, 0] * 255).round().to(torch.uint8).numpy())
    shuffled = torch.randperm(2 * len(train), generator=generator).numpy()
    return LabelledImages(np.concatenate(images)[shuffled], np.concatenate([train.labels, labels])[shuffled])


def warp(images: torch.Tensor, policy: Augmentation, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return `images`, float32 (n, 1, height, width), shifted, rotated, scaled, sheared and elastically displaced, with
    black beyond the edges.
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
    matrix[:, 0, 2], matrix[:, 1, 2] = uniform(policy.shift * 2 / width), uniform(policy.shift * 2 / height)
    grid = affine_grid(matrix.to(images.device), list(images.shape), align_corners=False)
    if policy.elastic:
        nodes = torch.randn(count, 2, ELASTIC_NODES, ELASTIC_NODES, generator=generator) * policy.elastic * 2 / width
        field = interpolate(nodes, size=(height, width), mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1).to(images.device)
    return grid_sample(images, grid, align_corners=False)


def add_upstrokes(
    images: torch.Tensor, labels: torch.Tensor, probability: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return a copy of `images`, float32 (n, 1, 28, 28) in [0, 1], in which each 1 has an upstroke with the given
    probability, and some of these also a foot: a common way to write a 1 that is rare in MNIST.
    """
    chosen = (labels == 1) & (torch.rand(len(labels), generator=generator) < probability).to(labels.device)
    images = images.clone()
    images[chosen] = _with_upstroke(images[chosen].cpu(), generator).to(images.device)
    return images


def _with_upstroke(images: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    count = len(images)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    columns = torch.arange(float(SIZE))
    ink = images[:, 0] > INK
    top = ink.any(2).float().argmax(1)
    bottom = SIZE - 1 - ink.any(2).flip(1).float().argmax(1)
    number = torch.arange(count)

    def centre(row: torch.Tensor) -> torch.Tensor:
        line = images[number, 0, row]
        return (line * columns).sum(1) / line.sum(1).clamp(min=1e-3)

    height = (bottom - top).float()
    length, slope = uniform(0.25, 0.5) * height, uniform(0.5, 1.15)
    start = torch.stack([centre(top), top.float()], 1)
    end = start + (length * torch.stack([-slope.cos(), slope.sin()])).T
    foot = torch.stack([centre(bottom), bottom.float()], 1)
    reach = uniform(0.12, 0.3) * height * (torch.rand(count, generator=generator) < 0.3)
    side = torch.stack([reach, torch.zeros(count)], 1)
    half_width = uniform(0.8, 1.4)
    upstroke, base = _line(start, end, half_width), _line(foot - side, foot + side, half_width)
    base = torch.where((reach > 0)[:, None, None], base, 0)
    return torch.maximum(images, torch.maximum(upstroke, base)[:, None])


def _line(start: torch.Tensor, end: torch.Tensor, half_width: torch.Tensor) -> torch.Tensor:
    """Return (n, 28, 28), a line from `start` to `end`, (n, 2) as x and y, with `half_width` (n,) in pixels."""
    y, x = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
    points = torch.stack([x, y], -1)[None]
    along = (end - start)[:, None, None]
    part = ((points - start[:, None, None]) * along).sum(-1) / (along**2).sum(-1).clamp(min=1e-6)
    nearest = start[:, None, None] + part.clamp(0, 1)[..., None] * along
    distance = sqrt(((points - nearest) ** 2).sum(-1))
    return (half_width[:, None, None] + 0.5 - distance).clamp(0, 1)


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
