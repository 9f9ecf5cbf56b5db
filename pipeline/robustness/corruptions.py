"""Seventeen corruptions of an image of a digit, each at three severities that a person can still read.

Kinds and strengths follow ten of the fifteen corruptions of MNIST-C (Mu and Gilmer, MNIST-C: A Robustness Benchmark for
Computer Vision, 2019, https://github.com/google-research/mnist-c), whose published strength is severity 2 or 3 here;
thin, thick and missing strokes follow Morpho-MNIST (Castro et al., 2019). The images serve for evaluation only.

Each corruption has random numbers of its own, independent of its place in the list and of the others. Values are
computed in float64 and rounded to uint8 with a tolerance far above the last bits, so that all CPUs give the same
images.
"""

import math
import zlib
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from digits.interface import SIZE

SEVERITIES = (1, 2, 3)
FINE = 4  # resolution factor at which strokes are thinned and thickened

Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def corrupt(name: str, images: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Return a corrupted copy of `images`, (n, 28, 28) uint8, ink bright on dark.

    Args:
        name: one of CORRUPTIONS.
        severity: 1, 2 or 3.
        seed: of the random numbers, which differ between names and severities.
    """
    generator = np.random.default_rng([seed, zlib.crc32(name.encode()), severity])
    corrupted = CORRUPTIONS[name](images / 255, severity - 1, generator)
    return np.floor(np.clip(corrupted, 0, 1) * 255 + 0.5 + 1e-6).astype(np.uint8)


def _signs(count: int, random: np.random.Generator) -> np.ndarray:
    return random.choice([-1, 1], count)


def _warped(images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return `images` transformed around their centre: a pixel at p takes the value at `matrices` (n, 2, 2) times p."""
    middle = (SIZE - 1) / 2
    return np.stack(
        [
            ndimage.affine_transform(image, matrix, middle - matrix @ [middle, middle], order=1)
            for image, matrix in zip(images, matrices, strict=True)
        ]
    )


def _shift(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """2, 3 or 5 pixels, diagonally; MNIST-C: 3."""
    pixels = (2, 3, 5)[level]
    moves = pixels * np.stack([_signs(len(images), random), _signs(len(images), random)], axis=1)
    wide = np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels)))
    return np.stack(
        [
            image[pixels + down : pixels + down + SIZE, pixels + right : pixels + right + SIZE]
            for image, (down, right) in zip(wide, moves, strict=True)
        ]
    )


def _rotation(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """0.2, 0.4 or 0.6 radians, 11 to 34 degrees; MNIST-C: 0.4."""
    angle = (0.2, 0.4, 0.6)[level]
    cos, sin = np.full(len(images), math.cos(angle)), math.sin(angle) * _signs(len(images), random)
    return _warped(images, np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2))


def _scale(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """To 0.8, 0.7 or 0.6 of the size; MNIST-C: 0.7."""
    return _warped(images, np.broadcast_to(np.eye(2) / (0.8, 0.7, 0.6)[level], (len(images), 2, 2)))


def _shear(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """0.2, 0.4 or 0.6 pixels sideways per pixel of height; MNIST-C: 0.4."""
    matrices = np.broadcast_to(np.eye(2), (len(images), 2, 2)).copy()
    matrices[:, 1, 0] = (0.2, 0.4, 0.6)[level] * _signs(len(images), random)
    return _warped(images, matrices)


def _blur(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Gaussian, with a std of 1, 1.5 or 2 pixels; MNIST-C's code: 2."""
    std = (1, 1.5, 2)[level]
    return np.asarray(ndimage.gaussian_filter(images, (0, std, std)))


def _gaussian_noise(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Gaussian noise with a std of 0.18, 0.26 or 0.38 of the brightness range; MNIST-C's code: 0.38."""
    return images + (0.18, 0.26, 0.38)[level] * random.standard_normal(images.shape)


def _impulse_noise(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Every pixel black or white with probability 0.09, 0.17 or 0.27; MNIST-C: 0.17."""
    probability, drawn = (0.09, 0.17, 0.27)[level], random.random(images.shape)
    return np.where(drawn < probability / 2, 0, np.where(drawn < probability, 1, images))


def _shot_noise(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Poisson noise with a mean of 12, 5 or 3 photons for white; MNIST-C: 3."""
    photons = (12, 5, 3)[level]
    return random.poisson(images * photons) / photons


def _brightness(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Brighter by 0.3, 0.4 or 0.5 of the range; MNIST-C: 0.5."""
    return images + (0.3, 0.4, 0.5)[level]


def _contrast(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """0.3, 0.2 or 0.1 of the distance from the mean of the image; MNIST-C's code: 0.1."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + (0.3, 0.2, 0.1)[level] * (images - mean)


def _fog(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Fog of 2, 2.5 or 3 times the brightness of the ink, rougher at each severity; MNIST-C: the last.

    It is a sum of bilinear noise fields at six scales; MNIST-C's is a plasma fractal.
    """
    strength, decay = ((2, 2.0), (2.5, 1.7), (3, 1.4))[level]
    cloud, total = np.zeros_like(images), 0.0
    for octave in range(6):
        spacing, amplitude = 64 / 2**octave, decay ** (-2 * octave)
        nodes = math.ceil(SIZE / spacing) + 2
        places = np.arange(SIZE) / spacing + random.random((len(images), 2, 1))
        weights = np.clip(1 - np.abs(places[..., None] - np.arange(nodes)), 0, None)  # (n, 2, 28, nodes)
        field = random.uniform(-1, 1, (len(images), nodes, nodes))
        cloud += amplitude * (weights[:, 0] @ field @ weights[:, 1].transpose(0, 2, 1))
        total += amplitude
    return (images + strength * np.clip(0.5 + 0.7 * cloud / total, 0, 1)) / (1 + strength)


def _stripe(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Invert the 3, 5 or 7 outermost columns on each side; MNIST-C: 7."""
    columns = (3, 5, 7)[level]
    corrupted = 1 - images
    corrupted[:, :, columns:-columns] = images[:, :, columns:-columns]
    return corrupted


def _spatter(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Grey drops: the last three strengths in MNIST-C's code, the second of which is published."""
    mean, std, smooth, threshold, edge = (
        (0.65, 0.3, 2, 0.68, 0.5),
        (0.65, 0.3, 1, 0.65, 1.5),
        (0.67, 0.4, 1, 0.65, 1.5),
    )[level]
    liquid = ndimage.gaussian_filter(random.normal(mean, std, images.shape), (0, smooth, smooth))
    drops = ndimage.gaussian_filter((liquid > threshold).astype(float), (0, edge, edge))
    drops[drops < 0.8] = 0
    return images * (1 - drops) + 63 / 255 * drops


def _finer(images: np.ndarray) -> np.ndarray:
    """Return which points of the finer grid are ink, interpolated bilinearly."""
    places = (np.arange(SIZE * FINE) + 0.5) / FINE - 0.5
    weights = np.clip(1 - np.abs(places[:, None] - np.arange(SIZE)), 0, None)
    return (weights @ images @ weights.T) > 0.5


def _coarser(masks: np.ndarray) -> np.ndarray:
    return masks.reshape(-1, SIZE, FINE, SIZE, FINE).mean(axis=(2, 4))


def _thin(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Strokes at 0.7, 0.5 or 0.35 of their width."""
    depth = np.stack([ndimage.distance_transform_edt(mask) for mask in _finer(images)])
    deepest = ndimage.maximum_filter(depth, (0, 13, 13))
    return _coarser(depth > (1 - (0.7, 0.5, 0.35)[level]) * deepest)


def _thick(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Strokes 1, 2 or 3 pixels wider."""
    around = np.stack([ndimage.distance_transform_edt(~mask) for mask in _finer(images)])
    return _coarser(around <= (1, 2, 3)[level] * FINE / 2)


def _inverted(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """Dark ink on paper of brightness 1, 0.75 or 0.5; MNIST-C's code: 1."""
    return (1, 0.75, 0.5)[level] * (1 - images)


def _missing(images: np.ndarray, level: int, random: np.random.Generator) -> np.ndarray:
    """1, 2 or 3 holes of 3x3 pixels in the ink."""
    corrupted = images.copy()
    for image in corrupted:
        rows, columns = np.nonzero(image > 0.5)
        for place in random.integers(0, len(rows), (1, 2, 3)[level]) if len(rows) else ():
            image[max(rows[place] - 1, 0) : rows[place] + 2, max(columns[place] - 1, 0) : columns[place] + 2] = 0
    return corrupted


CORRUPTIONS: dict[str, Corruption] = {
    "shift": _shift,
    "rotation": _rotation,
    "scale": _scale,
    "shear": _shear,
    "blur": _blur,
    "gaussian_noise": _gaussian_noise,
    "impulse_noise": _impulse_noise,
    "shot_noise": _shot_noise,
    "brightness": _brightness,
    "contrast": _contrast,
    "fog": _fog,
    "stripe": _stripe,
    "spatter": _spatter,
    "thin": _thin,
    "thick": _thick,
    "inverted": _inverted,
    "missing": _missing,
}
