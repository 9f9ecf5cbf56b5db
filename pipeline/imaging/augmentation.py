"""Random changes of a whole batch at once: shift, rotation, scale, shear, and a smooth elastic displacement; and of the
pen.

Source of the idea: Simard, Steinkraus, Platt: Best Practices for Convolutional Neural Networks (2003).
"""

import math

import numpy as np
import torch
from rich.progress import track
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, max_pool2d, pad

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


def vary(images: torch.Tensor, labels: torch.Tensor, settings: Augmentation) -> torch.Tensor:
    """Return `images`, float32 (n, 1, 28, 28) in [0, 1] and in no order, as a network learns from them: all changed in
    place and shape, some ones with an upstroke, and a share of `settings.pens` as by other pens.
    """
    images = augment(flag(images, labels, settings.flags), settings)
    others = round(settings.pens * len(images))
    return torch.cat([restyle(images[:others]), images[others:]])


def flag(images: torch.Tensor, labels: torch.Tensor, share: float) -> torch.Tensor:
    """Return a copy of `images`, float32 (n, 1, 28, 28) in [0, 1], in which a `share` of the ones has an upstroke to
    its top, and some of these a foot: how many people write a 1, and few of MNIST's writers.
    """
    chosen = (labels == 1) & (torch.rand(len(labels)) < share).to(labels.device)
    images = images.clone()
    images[chosen] = _flagged(images[chosen].cpu()).to(images.device)
    return images


def _flagged(images: torch.Tensor) -> torch.Tensor:
    count = len(images)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(count) * (high - low) + low

    rows = torch.arange(28.0)
    ink = images[:, 0] > 0.4
    top = ink.any(2).float().argmax(1)
    bottom = 27 - ink.any(2).flip(1).float().argmax(1)
    number = torch.arange(count)

    def middle(row: torch.Tensor) -> torch.Tensor:
        line = images[number, 0, row]
        return (line * rows).sum(1) / line.sum(1).clamp(min=1e-3)

    height = (bottom - top).float()
    length, slope = uniform(0.25, 0.5) * height, uniform(0.5, 1.15)
    start = torch.stack([middle(top), top.float()], 1)
    end = start + (length * torch.stack([-slope.cos(), slope.sin()])).T
    foot = torch.stack([middle(bottom), bottom.float()], 1)
    reach = uniform(0.12, 0.3) * height * (torch.rand(count) < 0.3)
    side = torch.stack([reach, torch.zeros(count)], 1)
    thick = uniform(0.8, 1.4)
    upstroke, base = _line(start, end, thick), _line(foot - side, foot + side, thick)
    base = torch.where((reach > 0)[:, None, None], base, 0)
    return torch.maximum(images, torch.maximum(upstroke, base)[:, None])


def _line(start: torch.Tensor, end: torch.Tensor, thick: torch.Tensor) -> torch.Tensor:
    """Return (n, 28, 28), a line from `start` to `end`, (n, 2) as x and y, each `thick` (n,) pixels to either side."""
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    points = torch.stack([x, y], -1)[None]
    along = (end - start)[:, None, None]
    part = ((points - start[:, None, None]) * along).sum(-1) / (along**2).sum(-1).clamp(min=1e-6)
    nearest = start[:, None, None] + part.clamp(0, 1)[..., None] * along
    distance = ((points - nearest) ** 2).sum(-1).sqrt()
    return (thick[:, None, None] + 0.5 - distance).clamp(0, 1)


def restyle(images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return a copy of `images`, float32 (n, 1, height, width) in [0, 1], as by other pens and other cameras: some
    strokes thicker or thinner; some edges hard, chalky, blurred, pale or strong.
    """
    count = len(images)

    def uniform(low: float, high: float) -> torch.Tensor:
        drawn = torch.rand(count, generator=generator) * (high - low) + low  # on the CPU, whatever learns from it
        return drawn[:, None, None, None].to(images.device)

    def where(chance: torch.Tensor, low: float, high: float, changed: torch.Tensor) -> torch.Tensor:
        return torch.where((chance >= low) & (chance < high), changed, images)

    pen, share = uniform(0, 1), uniform(0, 1)
    images = where(pen, 0, 0.2, torch.lerp(images, max_pool2d(images, 3, 1, 1), share))
    images = where(pen, 0.2, 0.35, torch.lerp(images, -max_pool2d(-pad(images, (0, 1, 0, 1)), 2, 1), share))
    camera = uniform(0, 1)
    images = where(camera, 0, 0.2, (images > uniform(0.15, 0.6)).float())
    grains = torch.rand(images.shape, generator=generator).to(images.device) < uniform(0.5, 0.95)
    images = where(camera, 0.2, 0.3, images * grains)
    images = where(camera, 0.3, 0.4, (avg_pool2d(images, 3, 1, 1) * 1.4).clamp(max=1))
    return where(camera, 0.4, 0.6, images ** uniform(0.5, 2))


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
