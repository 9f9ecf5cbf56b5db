"""Random changes of a whole batch at once: shift, rotation, scale, shear, and a smooth elastic displacement; and of the
pen.

Source of the idea: Simard, Steinkraus, Platt: Best Practices for Convolutional Neural Networks (2003).
"""

import math

import torch
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, max_pool2d, pad

from pipeline.params import Augmentation

ELASTIC_NODES = 6  # the displacement is drawn on a grid of 6x6 nodes, and smooth between them


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


def restyle(images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return a copy of `images`, float32 (n, 1, height, width) in [0, 1], as by other pens and other cameras: some
    strokes thicker or thinner; some edges hard, chalky, blurred, pale or strong.
    """
    count = len(images)

    def uniform(low: float, high: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * (high - low) + low)[:, None, None, None]

    def where(chance: torch.Tensor, low: float, high: float, changed: torch.Tensor) -> torch.Tensor:
        return torch.where((chance >= low) & (chance < high), changed, images)

    pen, share = uniform(0, 1), uniform(0, 1)
    images = where(pen, 0, 0.2, torch.lerp(images, max_pool2d(images, 3, 1, 1), share))
    images = where(pen, 0.2, 0.35, torch.lerp(images, -max_pool2d(-pad(images, (0, 1, 0, 1)), 2, 1), share))
    camera = uniform(0, 1)
    images = where(camera, 0, 0.2, (images > uniform(0.15, 0.6)).float())
    grains = torch.rand(images.shape, generator=generator) < uniform(0.5, 0.95)
    images = where(camera, 0.2, 0.3, images * grains)
    images = where(camera, 0.3, 0.4, (avg_pool2d(images, 3, 1, 1) * 1.4).clamp(max=1))
    return where(camera, 0.4, 0.6, images ** uniform(0.5, 2))
