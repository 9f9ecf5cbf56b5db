"""The held-out suite: twelve more corruptions at three severities, for one measurement per release.

Never look at these images, or at results on them, while you work on a model, a canonicalizer, an OOD detector, a
threshold or a training set: then they say how well the release handles corruptions that nobody prepared it for. Only
the benchmark of robustness measures them, with `--held-out`; no stage does. Once a release has been changed because of
them, move them to the development suite (pipeline/robustness/corruptions.py) and invent others.

None of them is in the development suite. A third is taken from other robustness suites, the others are what happens to
pictures of handwriting; a person can still read the digits at every severity.
"""

import numpy as np
from scipy import ndimage

from digits.interface import SIZE
from pipeline.robustness.corruptions import OWN, TOLERANCE, Corruption

IMAGENET_C = "ImageNet-C (Hendrycks and Dietterich, 2019)"

BLOCK = 8  # pixels: JPEG transforms blocks of 8x8
# Quantisation of luminance: JPEG (ITU-T T.81), table K.1
QUANTISATION = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


def _elastic(images: np.ndarray, pixels: float, random: np.random.Generator) -> np.ndarray:
    """Displace smoothly, by `pixels` on average."""
    field = ndimage.gaussian_filter(random.standard_normal((2, *images.shape)), (0, 0, 4, 4), mode="wrap")
    field *= pixels / np.sqrt((field**2).sum(axis=0)).mean()
    return _sampled(images, *(np.indices((SIZE, SIZE))[:, None] + field))


def _perspective(images: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Tilt the paper in a random direction: its near edge is `strength` / 2 larger, its far edge as much smaller."""
    angle = random.uniform(0, 2 * np.pi, (len(images), 1, 1))
    y, x = (np.indices((SIZE, SIZE)) - (SIZE - 1) / 2)[:, None]
    depth = 1 + strength * (np.sin(angle) * y + np.cos(angle) * x) / SIZE
    return _sampled(images, y / depth + (SIZE - 1) / 2, x / depth + (SIZE - 1) / 2)


def _stretch(images: np.ndarray, factor: float, random: np.random.Generator) -> np.ndarray:
    """Compress to `factor` of the width or of the height, at random."""
    narrow = random.random(len(images)) < 0.5
    zoom = 1 / np.where(np.stack([~narrow, narrow]), factor, 1)
    y, x = (np.indices((SIZE, SIZE)) - (SIZE - 1) / 2)[:, None] * zoom[:, :, None, None] + (SIZE - 1) / 2
    return _sampled(images, y, x)


def _pixelate(images: np.ndarray, pixels: int, random: np.random.Generator) -> np.ndarray:
    """Reduce to `pixels` x `pixels` means and enlarge again."""
    edges = np.arange(pixels + 1) * SIZE / pixels
    low, high = np.maximum(edges[:-1, None], np.arange(SIZE)), np.minimum(edges[1:, None], np.arange(SIZE) + 1)
    cover = np.clip(high - low, 0, None) * pixels / SIZE  # (pixels, 28): share of each pixel in each mean
    place = np.arange(SIZE) * pixels // SIZE
    return (cover @ images @ cover.T)[:, place][:, :, place]


def _jpeg(images: np.ndarray, quality: float, random: np.random.Generator) -> np.ndarray:
    """Round the discrete cosine transform of blocks of 8x8 pixels as JPEG does at this `quality`, from 1 to 49."""
    order, place = np.ogrid[:BLOCK, :BLOCK]
    cosine = np.cos((2 * place + 1) * order * np.pi / (2 * BLOCK)) * np.where(order, np.sqrt(2 / BLOCK), BLOCK**-0.5)
    steps = np.floor((50 / quality) * QUANTISATION + 0.5)
    size = -(-SIZE // BLOCK) * BLOCK
    padded = np.pad(images * 255 - 128, ((0, 0), (0, size - SIZE), (0, size - SIZE)), "edge")
    blocks = padded.reshape(-1, size // BLOCK, BLOCK, size // BLOCK, BLOCK).swapaxes(2, 3)
    coefficients = np.floor(cosine @ blocks @ cosine.T / steps + 0.5 + TOLERANCE) * steps
    decoded = (cosine.T @ coefficients @ cosine).swapaxes(2, 3).reshape(padded.shape)
    return (decoded[:, :SIZE, :SIZE] + 128) / 255


def _speckle_noise(images: np.ndarray, std: float, random: np.random.Generator) -> np.ndarray:
    """Multiply dark paper, of brightness 0.2, and the ink on it by normal noise with a standard deviation of `std`."""
    return (0.2 + 0.8 * images) * (1 + std * random.standard_normal(images.shape))


def _ghost(images: np.ndarray, brightness: float, random: np.random.Generator) -> np.ndarray:
    """Add a second exposure of this `brightness`, 3 to 5 pixels away."""
    angle, distance = random.uniform(0, 2 * np.pi, (len(images), 1, 1)), random.uniform(3, 5, (len(images), 1, 1))
    rows, columns = np.indices((SIZE, SIZE))[:, None]
    return np.maximum(
        images, brightness * _sampled(images, rows + distance * np.sin(angle), columns + distance * np.cos(angle))
    )


def _bleed_through(images: np.ndarray, brightness: float, random: np.random.Generator) -> np.ndarray:
    """Let another of `images`, from the back of the paper, show through: mirrored, blurred, of this `brightness`."""
    others = (np.arange(len(images)) + random.integers(1, max(len(images), 2))) % len(images)
    back = ndimage.gaussian_filter(images[others, :, ::-1], (0, 0.7, 0.7))
    return np.maximum(images, brightness * back)


def _squared_paper(images: np.ndarray, brightness: float, random: np.random.Generator) -> np.ndarray:
    """Rule the paper in squares of 7 to 10 pixels, with lines of this `brightness`."""
    spacing, offset = random.uniform(7, 10, (len(images), 1, 1)), random.uniform(0, 10, (2, len(images), 1))
    places = (np.arange(SIZE) + offset) % spacing[:, 0]
    lines = np.clip(1.2 - np.minimum(places, spacing[:, 0] - places), 0, 1)
    return np.maximum(images, brightness * np.maximum(lines[0][:, :, None], lines[1][:, None]))


def _shadow(images: np.ndarray, depth: float, random: np.random.Generator) -> np.ndarray:
    """Photograph dark ink on bright paper, in a shadow of this `depth` with a soft edge, and invert the result."""
    angle = random.uniform(0, 2 * np.pi, (len(images), 1, 1))
    y, x = (np.indices((SIZE, SIZE)) - (SIZE - 1) / 2)[:, None]
    edge = np.sin(angle) * y + np.cos(angle) * x - random.uniform(-7, 7, (len(images), 1, 1))
    light = 1 - depth / (1 + np.exp(-edge / 1.5))
    return 1 - light * (1 - 0.85 * images)


def _scratches(images: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Erase `count` straight lines, a pixel wide, across the digit."""
    scratched = images.copy()
    y, x = (np.indices((SIZE, SIZE)) - (SIZE - 1) / 2)[:, None]
    for _ in range(count):
        angle, offset = random.uniform(0, np.pi, (len(images), 1, 1)), random.uniform(-7, 7, (len(images), 1, 1))
        scratched *= np.clip(np.abs(np.sin(angle) * y + np.cos(angle) * x - offset) - 0.2, 0, 1)
    return scratched


def _moire(images: np.ndarray, amplitude: float, random: np.random.Generator) -> np.ndarray:
    """Add the interference of a screen and a camera: a wave of 3 to 6 pixels, of this `amplitude`."""
    angle, phase = random.uniform(0, np.pi, (len(images), 1, 1)), random.uniform(0, 2 * np.pi, (len(images), 1, 1))
    length = random.uniform(3, 6, (len(images), 1, 1))
    rows, columns = np.indices((SIZE, SIZE))[:, None]
    wave = np.sin(2 * np.pi / length * (np.sin(angle) * rows + np.cos(angle) * columns) + phase)
    return amplitude * (1 + wave) / 2 + (1 - amplitude) * images


def _sampled(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return `images` at the places `rows`, `columns`, each (n, 28, 28), interpolated bilinearly; black outside."""
    places = np.broadcast_to(np.arange(len(images))[:, None, None], images.shape)
    shape = images.shape
    return np.asarray(
        ndimage.map_coordinates(
            images, [places, np.broadcast_to(rows, shape), np.broadcast_to(columns, shape)], order=1
        )
    )


TABLE = (
    Corruption("elastic", _elastic, (0.8, 1.3, 1.8), IMAGENET_C, held_out=True),
    Corruption("perspective", _perspective, (0.3, 0.5, 0.7), OWN, held_out=True),
    Corruption("stretch", _stretch, (0.8, 0.65, 0.5), OWN, held_out=True),
    Corruption("pixelate", _pixelate, (14, 12, 10), IMAGENET_C, held_out=True),
    Corruption("jpeg", _jpeg, (10, 6, 4), IMAGENET_C, held_out=True),
    Corruption("speckle_noise", _speckle_noise, (0.3, 0.45, 0.6), IMAGENET_C, held_out=True),
    Corruption("ghost", _ghost, (0.3, 0.45, 0.6), OWN, held_out=True),
    Corruption("bleed_through", _bleed_through, (0.25, 0.4, 0.55), OWN, held_out=True),
    Corruption("squared_paper", _squared_paper, (0.25, 0.4, 0.55), OWN, held_out=True),
    Corruption("shadow", _shadow, (0.2, 0.35, 0.5), OWN, held_out=True),
    Corruption("scratches", _scratches, (1, 2, 3), OWN, held_out=True),
    Corruption("moire", _moire, (0.2, 0.3, 0.4), OWN, held_out=True),
)
HELD_OUT = {corruption.name: corruption for corruption in TABLE}
