"""Broad random corruption of batches, to train the canonicalizer's denoiser on: noise, blur, lines, frames, occlusion,
uneven light, textures, edges, missing ink, and combinations of these.

The strength of each corruption is drawn anew for every image, from barely visible to hardly legible. The kinds are
chosen for breadth and implemented independently of the corruptions that robustness is measured on
(`pipeline.robustness.corruptions`), though several resemble them.

Images are (n, 1, 28, 28) float32 in [0, 1]. Random numbers come from torch's global generator.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, max_pool2d, pad

from digits.interface import SIZE
from pipeline.training.numerics import sqrt

Family = Callable[[torch.Tensor], torch.Tensor]

UNCHANGED = 0.12  # fraction of the images that are not corrupted
TWICE = 0.35  # fraction of the others that get a second corruption
LIGHT = 0.12  # fraction that is inverted, brightened or faded after that
PIXELS = torch.arange(float(SIZE))
COLUMNS, ROWS = PIXELS.view(1, 1, 1, SIZE), PIXELS.view(1, 1, SIZE, 1)
MIDDLE = (SIZE - 1) / 2


def corrupt_batch(images: torch.Tensor) -> torch.Tensor:
    """Return a copy of `images` in which most are corrupted by one of FAMILIES, some by two or three."""
    first, second = (torch.randperm(len(FAMILIES)).tolist() for _ in range(2))
    corrupted = _apply([FAMILIES[number] for number in first], images, 1.0)
    corrupted = _apply([FAMILIES[number] for number in second], corrupted, TWICE)
    corrupted = _apply([_invert, _contrast, _brightness], corrupted, LIGHT)
    return torch.where(_chance(len(images), UNCHANGED), images, corrupted)


def move_batch(images: torch.Tensor) -> torch.Tensor:
    """Return `images` shifted, rotated, scaled, sheared and elastically displaced: half of them slightly, half of them
    strongly.
    """
    count = len(images)
    strength = torch.where(torch.rand(count) < 0.5, 1.0, torch.rand(count) * 0.3)

    def uniform(largest: float) -> torch.Tensor:
        return (torch.rand(count) * 2 - 1) * largest * strength

    angle, shear, zoom, aspect = uniform(0.6), uniform(0.6), _exp(uniform(0.55)), _exp(uniform(0.2))
    cos, sin = _cos_sin(angle)
    wide, high = zoom * aspect, zoom / aspect
    rows = [cos / wide, (shear - sin) / wide, uniform(0.36), sin / high, cos / high, uniform(0.36)]
    matrix = torch.stack(rows, 1).view(count, 2, 3)
    nodes = torch.randn(count, 2, 6, 6) * 0.04 * (strength * (torch.rand(count) < 0.5))[:, None, None, None]
    field = interpolate(nodes, size=(SIZE, SIZE), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    grid = affine_grid(matrix, list(images.shape), align_corners=False) + field
    return grid_sample(images, grid, align_corners=False)


def _apply(families: Sequence[Family], images: torch.Tensor, fraction: float) -> torch.Tensor:
    """Return a copy of `images`, a fraction of which is corrupted: an equal part by each of `families`."""
    images = images.clone()
    chosen = torch.randperm(len(images))[: round(fraction * len(images))]
    for family, rows in zip(families, chosen.tensor_split(len(families)), strict=True):
        if len(rows):
            images[rows] = family(images[rows]).clamp(0, 1)
    return images


def _uniform(count: int, low: float, high: float) -> torch.Tensor:
    return (torch.rand(count) * (high - low) + low).view(count, 1, 1, 1)


def _chance(count: int, probability: float) -> torch.Tensor:
    return (torch.rand(count) < probability).view(count, 1, 1, 1)


def _exp(values: torch.Tensor) -> torch.Tensor:
    return values.double().exp().float()  # float64, rounded: the same bits on all CPUs


def _cos_sin(angle: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return angle.double().cos().float(), angle.double().sin().float()


def _wave(phase: torch.Tensor) -> torch.Tensor:
    """Return a triangle wave in [-1, 1] with period 1."""
    return 4 * (phase - phase.floor() - 0.5).abs() - 1


def _field(count: int, smallest: int, largest: int, mode: str = "bicubic") -> torch.Tensor:
    """Return smooth noise, about in [-1, 1], interpolated from `smallest` to `largest` nodes a side."""
    side = int(torch.randint(smallest, largest + 1, ()))
    return interpolate(torch.rand(count, 1, side, side) * 2 - 1, size=(SIZE, SIZE), mode=mode, align_corners=True)


def _grey(count: int) -> torch.Tensor:
    """Return a brightness per image: often white, sometimes black, otherwise grey."""
    return torch.where(_chance(count, 0.4), 1.0, _uniform(count, 0, 1) * ~_chance(count, 0.3))


def _slope(count: int) -> torch.Tensor:
    """Return (n, 1, 28, 28), the distance in pixels from a line through the centre with a random direction."""
    cos, sin = _cos_sin(_uniform(count, 0, 2 * math.pi))
    return cos * (COLUMNS - MIDDLE) + sin * (ROWS - MIDDLE)


def _displaced(images: torch.Tensor, move: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Return `images` in which each pixel takes the value `move` away, (n, 28, 28, 2) or broadcastable, x and y."""
    y, x = torch.meshgrid(PIXELS, PIXELS, indexing="ij")
    grid = torch.stack([x, y], -1) + move
    return grid_sample(images, (grid * 2 + 1) / SIZE - 1, mode=mode, align_corners=False)


# Noise


def _gaussian_noise(images: torch.Tensor) -> torch.Tensor:
    return images + _uniform(len(images), 0.03, 0.6) * torch.randn(images.shape)


def _speckle_noise(images: torch.Tensor) -> torch.Tensor:
    return images * (1 + _uniform(len(images), 0.1, 0.8) * torch.randn(images.shape))


def _impulse_noise(images: torch.Tensor) -> torch.Tensor:
    drawn, probability = torch.rand(images.shape), _uniform(len(images), 0.02, 0.4)
    return torch.where(drawn < probability / 2, 0.0, torch.where(drawn < probability, 1.0, images))


def _shot_noise(images: torch.Tensor) -> torch.Tensor:
    """Poisson noise, approximated by the normal distribution."""
    photons = _uniform(len(images), 2, 20)
    mean = images.clamp(0, 1) * photons
    return (mean + torch.randn(images.shape) * sqrt(mean)).round() / photons


# Blur and resolution


def _gaussian_blur(images: torch.Tensor) -> torch.Tensor:
    std = _uniform(len(images), 0.5, 2.6)
    weights = _exp(-((PIXELS[:, None] - PIXELS) ** 2) / (2 * std * std))
    weights = weights / weights.sum(3, keepdim=True)
    return weights @ images @ weights.transpose(2, 3)


def _motion_blur(images: torch.Tensor) -> torch.Tensor:
    # Not a convolution with a kernel for each image: its bits would depend on the size of the CPU's caches.
    direction = torch.stack(_cos_sin(torch.rand(len(images)) * math.pi), 1) * (torch.rand(len(images), 1) * 5 + 1)
    steps = torch.linspace(-1, 1, 9).tolist()
    return torch.stack([_displaced(images, step * direction[:, None, None]) for step in steps]).mean(0)


def _scatter(images: torch.Tensor) -> torch.Tensor:
    """Move every pixel by a random distance, as behind frosted glass."""
    count = len(images)
    move = (torch.rand(count, SIZE, SIZE, 2) * 2 - 1) * _uniform(count, 0.7, 3)
    moved = _displaced(images, move, "nearest")
    return torch.where(_chance(count, 0.5), avg_pool2d(moved, 3, 1, 1), moved)


def _pixelate(images: torch.Tensor) -> torch.Tensor:
    side = int(torch.randint(9, 19, ()))
    small = interpolate(images, size=(side, side), mode="area")
    return interpolate(small, size=(SIZE, SIZE), mode="nearest" if torch.rand(()) < 0.5 else "bilinear")


# Lines, frames, occlusion


def _lines(images: torch.Tensor) -> torch.Tensor:
    """Draw one or two lines: straight or zigzag, solid or dotted, brighter than the ink or cutting through it."""
    count = len(images)
    for chance in (1.0, 0.4):
        distance, along = _zigzag(count)
        line = (_uniform(count, 0.3, 1.6) + 0.5 - distance).clamp(0, 1) * _chance(count, chance)
        dotted = _wave(along * _uniform(count, 0.1, 0.5) + _uniform(count, 0, 1)) > 0
        line = torch.where(_chance(count, 0.35), line * dotted, line)
        bright = torch.lerp(images, torch.maximum(_uniform(count, 0.4, 1), images), line)
        images = torch.where(_chance(count, 0.75), bright, images * (1 - line))
    return images


def _zigzag(count: int, segments: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (n, 1, 28, 28) each: the distance in pixels from a straight or zigzag line, and the place along it."""
    cos, sin = _cos_sin(torch.rand(count) * math.pi)
    along, across = torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)
    steps = (torch.rand(count) * 14 + 4)[:, None] * torch.linspace(-1, 1, segments + 1)
    signs = 1 - 2 * (torch.arange(segments + 1) % 2)
    height = (torch.rand(count) < 0.5) * (torch.rand(count) * 4 + 0.5)
    heights = height[:, None] * signs * (torch.rand(count, segments + 1) * 0.6 + 0.7)
    offsets = steps[..., None] * along[:, None] + heights[..., None] * across[:, None]
    corners = torch.rand(count, 1, 2) * 20 + 4 + offsets
    start, way = corners[:, :-1, None], (corners[:, 1:] - corners[:, :-1])[:, :, None]
    points = torch.stack(torch.meshgrid(PIXELS, PIXELS, indexing="xy"), -1).view(1, 1, -1, 2)
    part = (((points - start) * way).sum(-1) / (way * way).sum(-1).clamp(min=1e-6)).clamp(0, 1)
    squared = ((points - start - part[..., None] * way) ** 2).sum(-1).amin(1)
    place = (points[:, 0] * along[:, None]).sum(-1)
    return sqrt(squared).view(count, 1, SIZE, SIZE), place.view(count, 1, SIZE, SIZE)


def _frame(images: torch.Tensor) -> torch.Tensor:
    """Fill or invert 1 to 5 pixels along some edges."""
    count = len(images)
    widths = (torch.rand(count, 4) * 5 + 1).floor() * (torch.rand(count, 4) < 0.5)
    widths = torch.where(torch.rand(count, 1) < 0.4, widths.amax(1, keepdim=True), widths)
    left, right, top, bottom = widths.view(count, 4, 1, 1, 1).unbind(1)
    mask = (left > COLUMNS) | (SIZE - right <= COLUMNS) | (top > ROWS) | (SIZE - bottom <= ROWS)
    return torch.where(mask, torch.where(_chance(count, 0.3), 1 - images, _grey(count)), images)


def _band(images: torch.Tensor) -> torch.Tensor:
    """Invert or cover a band, or everything outside of a band."""
    count = len(images)
    upright = torch.where(_chance(count, 0.5), COLUMNS - MIDDLE, ROWS - MIDDLE)
    distance = torch.where(_chance(count, 0.6), upright, _slope(count))
    inside = (distance - _uniform(count, -14, 14)).abs() < _uniform(count, 1, 9)
    outside = _chance(count, 0.4) & (distance.abs() > _uniform(count, 5, 12))
    changed = torch.where(_chance(count, 0.6), 1 - images, 0.8 * _grey(count) + 0.2 * images)
    return torch.where(inside | outside, changed, images)


def _occlude(images: torch.Tensor) -> torch.Tensor:
    """Cover one to three rectangles."""
    count = len(images)
    cover = torch.where(_chance(count, 0.2), torch.rand(images.shape), _grey(count))
    for chance in (1.0, 0.3, 0.3):
        across = (COLUMNS - _uniform(count, 0, SIZE)).abs() < _uniform(count, 1, 5)
        down = (ROWS - _uniform(count, 0, SIZE)).abs() < _uniform(count, 1, 5)
        images = torch.where(across & down & _chance(count, chance), cover, images)
    return images


def _blobs(images: torch.Tensor) -> torch.Tensor:
    """Cover irregular spots."""
    count = len(images)
    noise = _field(count, 6, 16, "bilinear") + torch.randn(images.shape) * _uniform(count, 0, 0.3)
    noise = torch.where(_chance(count, 0.5), avg_pool2d(noise, 3, 1, 1), noise)
    threshold = noise.flatten(1).quantile(0.9, dim=1).view(count, 1, 1, 1) * _uniform(count, 0.5, 1.2)
    cover = ((noise - threshold) * _uniform(count, 2, 20)).clamp(0, 1) * _uniform(count, 0.3, 1)
    return torch.lerp(images, _grey(count), cover)


def _neighbour(images: torch.Tensor) -> torch.Tensor:
    """Show a part of another image at one edge."""
    count = len(images)
    far = (torch.rand(count) * 8 + 16) * torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    near, sideways = torch.rand(count) * 8 - 4, torch.rand(count) < 0.65
    move = torch.stack([torch.where(sideways, far, near), torch.where(sideways, near, far)], 1)
    return torch.maximum(images, _displaced(images[torch.randperm(count)], move[:, None, None]))


# Light


def _invert(images: torch.Tensor) -> torch.Tensor:
    return _uniform(len(images), 0.5, 1) * (1 - images)


def _contrast(images: torch.Tensor) -> torch.Tensor:
    contrast = _uniform(len(images), 0.08, 0.9)
    return _uniform(len(images), 0, 1) * (1 - contrast) + contrast * images


def _brightness(images: torch.Tensor) -> torch.Tensor:
    return images + _uniform(len(images), -0.4, 0.8)


def _gamma(images: torch.Tensor) -> torch.Tensor:
    """Brighten or darken the greys, by Schlick's approximation of a power (1994)."""
    steepness = _exp(_uniform(len(images), -1.5, 1.5))
    return images / (images + steepness * (1 - images))


def _posterize(images: torch.Tensor) -> torch.Tensor:
    levels = torch.randint(1, 5, (len(images), 1, 1, 1))
    return (images * levels + _uniform(len(images), -0.3, 0.3)).round() / levels


def _gradient(images: torch.Tensor) -> torch.Tensor:
    """Add or multiply with light that grows along a line or away from a point."""
    count = len(images)
    far = (COLUMNS - _uniform(count, 0, SIZE)) ** 2 + (ROWS - _uniform(count, 0, SIZE)) ** 2
    light = torch.where(_chance(count, 0.6), _slope(count) / 40 + 0.5, far / 400).clamp(0, 1.5)
    light = torch.where(_chance(count, 0.5), 1 - light, light) * _uniform(count, 0.2, 1)
    hazy = (images + light) / (1 + light.amax((2, 3), keepdim=True).clamp(min=0))
    lit = torch.where(_chance(count, 0.5), torch.lerp(images, torch.ones(()), light), hazy)
    return torch.where(_chance(count, 0.3), images * (1 - light), lit)


def _fog(images: torch.Tensor) -> torch.Tensor:
    count, density = len(images), _uniform(len(images), 0.3, 3)
    cloud = 0.6 * _field(count, 2, 4) + _uniform(count, 0, 0.6) * _field(count, 5, 10) + 0.5
    return (images + density * cloud.clamp(0, 1.2)) / (1 + density)


def _texture(images: torch.Tensor) -> torch.Tensor:
    """Add stripes, waves, checks or grids."""
    count, frequency = len(images), _uniform(len(images), 0.06, 0.42)  # periods per pixel
    cos, sin = _cos_sin(_uniform(count, 0, 2 * math.pi))
    wave = _wave((COLUMNS * cos + ROWS * sin) * frequency + _uniform(count, 0, 1))
    other = _wave((ROWS * cos - COLUMNS * sin) * frequency)
    wave = torch.where(_chance(count, 0.4), wave * other, wave)
    wave = torch.where(_chance(count, 0.4), wave.sign(), wave) * _uniform(count, 0.1, 0.6)
    veiled = (images + wave.abs()) / (1 + wave.abs().amax((2, 3), keepdim=True))
    return torch.where(_chance(count, 0.5), images + wave, veiled)


# Ink


def _edges(images: torch.Tensor) -> torch.Tensor:
    """Keep only the outline of the ink: outside or inside of its border, one pixel wide, or a soft gradient."""
    count = len(images)
    ink = (images > _uniform(count, 0.2, 0.6)).float()

    def spread(mask: torch.Tensor) -> torch.Tensor:
        cross = torch.maximum(max_pool2d(mask, (3, 1), 1, (1, 0)), max_pool2d(mask, (1, 3), 1, (0, 1)))
        return torch.where(_chance(count, 0.5), max_pool2d(mask, 3, 1, 1), cross)

    border = torch.where(_chance(count, 0.5), spread(ink) - ink, ink + spread(-ink))
    soft = (images - avg_pool2d(images, 3, 1, 1)).abs() * _uniform(count, 1, 4)
    return torch.where(_chance(count, 0.8), border, soft) * _uniform(count, 0.5, 1)


def _erase(images: torch.Tensor) -> torch.Tensor:
    """Erase or fade irregular parts of the ink, or single pixels."""
    count = len(images)
    kept = ((_field(count, 8, 18, "bilinear") - _uniform(count, -0.7, 0.4)) * 8).clamp(0, 1)
    faded = 1 - (1 - kept) * _uniform(count, 0.5, 1)
    return images * torch.where(_chance(count, 0.6), faded, torch.rand(images.shape) > _uniform(count, 0.1, 0.6))


def change_width(images: torch.Tensor) -> torch.Tensor:
    """Return `images` with thicker or thinner strokes."""
    count = len(images)
    thicker, thinner = max_pool2d(images, 3, 1, 1), -max_pool2d(-pad(images, (0, 1, 0, 1)), 2, 1)
    return torch.lerp(images, torch.where(_chance(count, 0.5), thicker, thinner), _uniform(count, 0.3, 1))


FAMILIES: tuple[Family, ...] = (
    _gaussian_noise, _speckle_noise, _impulse_noise, _shot_noise, _gaussian_blur, _motion_blur, _scatter, _pixelate,
    _lines, _lines, _lines, _lines, _frame, _band, _occlude, _occlude, _occlude, _blobs, _neighbour, _invert, _contrast,
    _brightness, _gamma, _posterize, _gradient, _fog, _texture, _edges, _edges, _erase,
)  # fmt: skip
"""The kinds of corruption; one that is listed twice is twice as frequent. Hard ones are listed more often."""
