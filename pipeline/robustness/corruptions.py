"""The development suite: 24 corruptions of an image of a digit, each at three severities that a person can still read.

Fifteen are those of MNIST-C (Mu and Gilmer, MNIST-C: A Robustness Benchmark for Computer Vision, 2019,
https://github.com/google-research/mnist-c), written anew: severity 3 has the published parameters, 1 and 2 are weaker.
The others follow Morpho-MNIST (Castro et al., 2019), further corruptions of MNIST-C's code, or are our own.

Models, canonicalizer and OOD detector are developed with this suite in view, so its figures are no evidence of
robustness to unknown corruptions; pipeline/robustness/held_out.py has the suite for that. No model is trained on
either.

Each corruption has random numbers of its own, independent of its place in the table and of the others. Values are
computed in float64 and rounded to uint8 with a tolerance far above the last bits, so that all CPUs give the same
images.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from scipy import ndimage

from digits.interface import SIZE

SEVERITIES = (1, 2, 3)
PUBLISHED = 3  # the severity at which the corruptions of MNIST-C have their published parameters
FINE = 4  # resolution factor at which strokes are thinned and thickened
TOLERANCE = 1e-6  # of a grey level; values this close below a half are rounded up

MNIST_C = "MNIST-C (Mu and Gilmer, 2019)"
MNIST_C_CODE = "MNIST-C's code (Mu and Gilmer, 2019), not in the published dataset"
MORPHO_MNIST = "Morpho-MNIST (Castro et al., 2019)"
OWN = "this project"

Function = Callable[[np.ndarray, Any, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Corruption:
    """A row of the table of corruptions.

    Attributes:
        name: unique; also decides the random numbers.
        function: returns corrupted images (n, 28, 28), float64 in any range, given images in [0, 1], one of
            `parameters`, and a random generator.
        parameters: one value for each of SEVERITIES.
        origin: the suite that it is taken from.
        held_out: whether it is measured once per release only, see pipeline/robustness/held_out.py.
    """

    name: str
    function: Function
    parameters: tuple[Any, Any, Any]
    origin: str
    held_out: bool = False

    def is_published(self, severity: int) -> bool:
        """Return whether this is a corruption of MNIST-C with its published parameters."""
        return self.origin == MNIST_C and severity == PUBLISHED


def corrupt(corruption: Corruption, images: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Return a corrupted copy of `images`, (n, 28, 28) uint8, ink bright on dark.

    Args:
        severity: 1, 2 or 3.
        seed: of the random numbers, which differ between corruptions and severities.
    """
    random = np.random.default_rng([seed, zlib.crc32(corruption.name.encode()), severity])
    corrupted = corruption.function(images / 255, corruption.parameters[severity - 1], random)
    return np.floor(np.clip(corrupted, 0, 1) * 255 + 0.5 + TOLERANCE).astype(np.uint8)


# MNIST-C


def _shot_noise(images: np.ndarray, photons: float, random: np.random.Generator) -> np.ndarray:
    """Add Poisson noise with a mean of `photons` for white; published: 3."""
    return random.poisson(images * photons) / photons


def _impulse_noise(images: np.ndarray, probability: float, random: np.random.Generator) -> np.ndarray:
    """Make every pixel black or white with a total `probability`; published: 0.17."""
    drawn = random.random(images.shape)
    return np.where(drawn < probability / 2, 0, np.where(drawn < probability, 1, images))


def _glass_blur(images: np.ndarray, parameters: tuple[float, int], random: np.random.Generator) -> np.ndarray:
    """Blur with a Gaussian of `std` pixels, swap pixels with neighbours `passes` times, blur again; published: 0.7, 2.

    Every second pixel, at random, is swapped with the one up to one row above and up to one column to the left.
    """
    std, passes = parameters
    mixed, every = _gaussian(images, std), np.arange(len(images))
    for row, column in [(row, column) for row in range(SIZE - 1, 1, -1) for column in range(SIZE - 1, 1, -1)] * passes:
        up, left = random.integers(0, 2, (2, len(images))) * (random.random(len(images)) < 0.5)
        here = mixed[:, row, column].copy()
        mixed[:, row, column] = mixed[every, row - up, column - left]
        mixed[every, row - up, column - left] = here
    return _gaussian(mixed, std)


def _motion_blur(images: np.ndarray, std: float, random: np.random.Generator) -> np.ndarray:
    """Smear to one side, up to 45 degrees from the horizontal, with half a Gaussian of `std` pixels; published: 3."""
    angles = random.uniform(-math.pi / 4, math.pi / 4, (len(images), 1, 1))
    every, rows, columns = np.ogrid[: len(images), :SIZE, :SIZE]
    steps = np.arange(round(10 / 3 * std) + 1)  # published: a radius of 10 pixels
    weights = np.exp(-(steps**2) / (2 * std**2))
    blurred = np.zeros_like(images)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        down, right = (np.rint(step * part).astype(int) for part in (np.sin(angles), np.cos(angles)))
        blurred += weight * images[every, np.clip(rows + down, 0, SIZE - 1), np.clip(columns + right, 0, SIZE - 1)]
    return blurred


def _shear(images: np.ndarray, angle: float, random: np.random.Generator) -> np.ndarray:
    """Slant by `angle` radians to the left or right; published: 0.4."""
    matrices = np.broadcast_to(np.diag([math.cos(angle), 1]), (len(images), 2, 2)).copy()
    matrices[:, 1, 0] = math.sin(angle) * _signs(len(images), random)
    return _warped(images, matrices)


def _scale(images: np.ndarray, factor: float, random: np.random.Generator) -> np.ndarray:
    """Shrink to `factor` of the size; published: 0.7."""
    return _warped(images, np.broadcast_to(np.eye(2) / factor, (len(images), 2, 2)))


def _rotate(images: np.ndarray, angle: float, random: np.random.Generator) -> np.ndarray:
    """Rotate by `angle` radians in either direction; published: 0.4."""
    cos, sin = np.full(len(images), math.cos(angle)), math.sin(angle) * _signs(len(images), random)
    return _warped(images, np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2))


def _brightness(images: np.ndarray, difference: float, random: np.random.Generator) -> np.ndarray:
    """Brighten by `difference`; published: 0.5."""
    return images + difference


def _translate(images: np.ndarray, pixels: int, random: np.random.Generator) -> np.ndarray:
    """Move diagonally, by `pixels` in each direction; published: 3."""
    moves = pixels * np.stack([_signs(len(images), random), _signs(len(images), random)], axis=1)
    wide = np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels)))
    return np.stack(
        [
            image[pixels + down : pixels + down + SIZE, pixels + right : pixels + right + SIZE]
            for image, (down, right) in zip(wide, moves, strict=True)
        ]
    )


def _stripe(images: np.ndarray, columns: int, random: np.random.Generator) -> np.ndarray:
    """Invert the outermost `columns` on the left and on the right; published: 7."""
    corrupted = 1 - images
    corrupted[:, :, columns:-columns] = images[:, :, columns:-columns]
    return corrupted


def _fog(images: np.ndarray, parameters: tuple[float, float], random: np.random.Generator) -> np.ndarray:
    """Add fog of `strength` times the brightness of the ink, smoother the larger `decay` is; published: 3, 1.4.

    The fog is a sum of bilinear noise fields at six scales. MNIST-C's is a plasma fractal of the same contrast.
    """
    strength, decay = parameters
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


def _spatter(images: np.ndarray, threshold: float, random: np.random.Generator) -> np.ndarray:
    """Cover with dark grey drops where normal noise, blurred by a pixel, exceeds `threshold`; published: 0.65."""
    liquid = _gaussian(random.normal(0.65, 0.3, images.shape), 1)
    drops = _gaussian((liquid > threshold).astype(float), 1.5)
    drops[drops < 0.8] = 0
    return images * (1 - drops) + 63 / 255 * drops


def _dotted_line(images: np.ndarray, brightness: float, random: np.random.Generator) -> np.ndarray:
    """Draw a line of dashes of two pixels, from edge to edge, of the given `brightness`; published: 1."""
    left, right = random.integers(0, SIZE - 1, (2, len(images), 1))
    columns = np.arange(SIZE)
    return images + brightness * _line(left + (right - left) / (SIZE - 1) * columns) * (columns % 4 >= 2)


def _zigzag(images: np.ndarray, brightness: float, random: np.random.Generator) -> np.ndarray:
    """Draw a nearly horizontal zigzag, four pixels high, eight long, of the given `brightness`; published: 1."""
    start, end = 2, 25  # columns
    first = random.integers(0, SIZE - 1, (len(images), 1))
    slope = random.integers(-5, 5, (len(images), 1)) / (end - start)
    columns = np.arange(SIZE)
    along = (columns - start) * np.sqrt(1 + slope**2)
    across = np.abs((along - 2) % 8 - 4) - 2
    drawn = (columns >= start) & (columns < end)
    return images + brightness * _line(first + slope * (columns - start) + across) * drawn


def _canny_edges(images: np.ndarray, ink: float, random: np.random.Generator) -> np.ndarray:
    """Replace by Canny's edges, after a Gaussian of 1 pixel, and `ink` times the digit between them; published: 0."""
    smooth = np.floor(_gaussian(images * 255, 1) + 0.5 + TOLERANCE).astype(np.uint8)  # Canny is exact on integers
    edges = np.stack([cv2.Canny(image, 0.1 * 255, 0.2 * 255, L2gradient=True) for image in smooth]) / 255
    return np.maximum(edges, ink * images)


# Other corruptions


def _gaussian_noise(images: np.ndarray, std: float, random: np.random.Generator) -> np.ndarray:
    """Add normal noise with a standard deviation of `std`; MNIST-C's code: 0.38."""
    return images + std * random.standard_normal(images.shape)


def _gaussian_blur(images: np.ndarray, std: float, random: np.random.Generator) -> np.ndarray:
    """Blur with a Gaussian of `std` pixels; MNIST-C's code: 2."""
    return _gaussian(images, std)


def _contrast(images: np.ndarray, factor: float, random: np.random.Generator) -> np.ndarray:
    """Keep `factor` of the distance from the mean of the image; MNIST-C's code: 0.1."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + factor * (images - mean)


def _inverted(images: np.ndarray, paper: float, random: np.random.Generator) -> np.ndarray:
    """Draw dark ink on `paper` of this brightness; MNIST-C's code: 1."""
    return paper * (1 - images)


def _thin(images: np.ndarray, width: float, random: np.random.Generator) -> np.ndarray:
    """Make strokes thinner, to `width` of theirs."""
    depth = np.stack([ndimage.distance_transform_edt(mask) for mask in _finer(images)])
    deepest = ndimage.maximum_filter(depth, (0, 13, 13))
    return _coarser(depth > (1 - width) * deepest)


def _thick(images: np.ndarray, pixels: float, random: np.random.Generator) -> np.ndarray:
    """Make strokes `pixels` wider."""
    around = np.stack([ndimage.distance_transform_edt(~mask) for mask in _finer(images)])
    return _coarser(around <= pixels * FINE / 2)


def _missing(images: np.ndarray, holes: int, random: np.random.Generator) -> np.ndarray:
    """Erase 3x3 pixels of ink in each of `holes` places."""
    corrupted = images.copy()
    for image in corrupted:
        rows, columns = np.nonzero(image > 0.5)
        for place in random.integers(0, len(rows), holes) if len(rows) else ():
            image[max(rows[place] - 1, 0) : rows[place] + 2, max(columns[place] - 1, 0) : columns[place] + 2] = 0
    return corrupted


def _occlusion(images: np.ndarray, pixels: int, random: np.random.Generator) -> np.ndarray:
    """Cover a square of `pixels` x `pixels`, anywhere, in one brightness."""
    corrupted = images.copy()
    places = random.integers(0, SIZE - pixels + 1, (len(images), 2))
    for image, (row, column), value in zip(corrupted, places, random.random(len(images)), strict=True):
        image[row : row + pixels, column : column + pixels] = value
    return corrupted


def _frame(images: np.ndarray, pixels: int, random: np.random.Generator) -> np.ndarray:
    """Draw a white frame, `pixels` wide, at the edge."""
    corrupted = np.ones_like(images)
    corrupted[:, pixels:-pixels, pixels:-pixels] = images[:, pixels:-pixels, pixels:-pixels]
    return corrupted


# Parts of several corruptions


def _signs(count: int, random: np.random.Generator) -> np.ndarray:
    return random.choice([-1, 1], count)


def _gaussian(images: np.ndarray, std: float) -> np.ndarray:
    """Return `images` blurred with a Gaussian of `std` pixels; the edge is repeated outside."""
    return np.asarray(ndimage.gaussian_filter(images, (0, std, std), mode="nearest"))


def _warped(images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return `images` transformed around their centre: a pixel at p takes the value at `matrices` (n, 2, 2) times p."""
    middle = (SIZE - 1) / 2
    return np.stack(
        [
            ndimage.affine_transform(image, matrix, middle - matrix @ [middle, middle], order=1)
            for image, matrix in zip(images, matrices, strict=True)
        ]
    )


def _line(heights: np.ndarray) -> np.ndarray:
    """Return images (n, 28, 28) of a line at `heights` (n, 28), a row for each column, with MNIST-C's soft edge."""
    distance = np.abs(np.arange(SIZE)[:, None] - heights[:, None])
    return np.clip(1 + np.log(1 - np.minimum(distance, 2) / 2.3), 0, 1)


def _finer(images: np.ndarray) -> np.ndarray:
    """Return which points of the finer grid are ink, interpolated bilinearly."""
    places = (np.arange(SIZE * FINE) + 0.5) / FINE - 0.5
    weights = np.clip(1 - np.abs(places[:, None] - np.arange(SIZE)), 0, None)
    return (weights @ images @ weights.T) > 0.5


def _coarser(masks: np.ndarray) -> np.ndarray:
    return masks.reshape(-1, SIZE, FINE, SIZE, FINE).mean(axis=(2, 4))


TABLE = (
    Corruption("shot_noise", _shot_noise, (12, 5, 3), MNIST_C),
    Corruption("impulse_noise", _impulse_noise, (0.06, 0.11, 0.17), MNIST_C),
    Corruption("glass_blur", _glass_blur, ((0.4, 1), (0.55, 1), (0.7, 2)), MNIST_C),
    Corruption("motion_blur", _motion_blur, (1, 2, 3), MNIST_C),
    Corruption("shear", _shear, (0.2, 0.3, 0.4), MNIST_C),
    Corruption("scale", _scale, (0.9, 0.8, 0.7), MNIST_C),
    Corruption("rotate", _rotate, (0.2, 0.3, 0.4), MNIST_C),
    Corruption("brightness", _brightness, (0.3, 0.4, 0.5), MNIST_C),
    Corruption("translate", _translate, (1, 2, 3), MNIST_C),
    Corruption("stripe", _stripe, (3, 5, 7), MNIST_C),
    Corruption("fog", _fog, ((2, 2.0), (2.5, 1.7), (3, 1.4)), MNIST_C),
    Corruption("spatter", _spatter, (0.69, 0.67, 0.65), MNIST_C),
    Corruption("dotted_line", _dotted_line, (0.5, 0.75, 1), MNIST_C),
    Corruption("zigzag", _zigzag, (0.5, 0.75, 1), MNIST_C),
    Corruption("canny_edges", _canny_edges, (0.6, 0.3, 0), MNIST_C),
    Corruption("gaussian_noise", _gaussian_noise, (0.18, 0.26, 0.38), MNIST_C_CODE),
    Corruption("gaussian_blur", _gaussian_blur, (1, 1.5, 2), MNIST_C_CODE),
    Corruption("contrast", _contrast, (0.3, 0.2, 0.1), MNIST_C_CODE),
    Corruption("inverted", _inverted, (1, 0.75, 0.5), MNIST_C_CODE),
    Corruption("thin", _thin, (0.7, 0.5, 0.35), MORPHO_MNIST),
    Corruption("thick", _thick, (1, 2, 3), MORPHO_MNIST),
    Corruption("missing", _missing, (1, 2, 3), MORPHO_MNIST),
    Corruption("occlusion", _occlusion, (4, 6, 8), OWN),
    Corruption("frame", _frame, (1, 2, 3), OWN),
)
CORRUPTIONS = {corruption.name: corruption for corruption in TABLE}
