"""Making a picture of one digit look like MNIST: ink bright on dark, in a box of 20x20 pixels, its centre of mass in
the middle of 28x28, in strokes as wide as MNIST's. Source of that form: LeCun et al. (1998), as described at
http://yann.lecun.com/exdb/mnist/.

What is not ink is found by fitting a smooth surface to the paper, so that shadows and uneven light do no harm; of the
ink, the strongest connected part with what lies close to it is the digit.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

SIZE, BOX = 28, 20
LONGEST = 400  # pixels of the longer side that are looked at; larger pictures are made smaller first
STROKE = 0.12  # width of a stroke at least, in lengths of the digit's longer side; MNIST's are that wide
FAINTEST = 0.05  # contrast of ink at least, of the range from black to white
SMALLEST = 0.02  # longer side of a digit at least, in lengths of the picture's longer side
TOUCHING = 0.15  # weight of ink that touches the picture's edge: a frame, a shadow, another page
AROUND = np.ones((3, 3))  # pixels that count as connected


def normalise(grey: np.ndarray) -> np.ndarray:
    """Return the digit in `grey` (height, width) float32 in [0, 1] as a model reads it: (28, 28) float32 in [0, 1],
    all zeros where there is no ink. A picture that looks like MNIST already stays as it is, but for its polarity.
    """
    if (as_it_is := _mnist(grey)) is not None:
        return as_it_is
    ink, noise = _ink(_shrunk(grey))
    digit = _digit(ink, noise)
    if not digit.any():
        return np.zeros((SIZE, SIZE), np.float32)
    return _centred(_fitted(_thickened(*_cut(ink, digit))))


def _mnist(grey: np.ndarray) -> np.ndarray | None:
    """Return `grey` as bright ink on dark if it is 28x28 on even paper with ink in a box of 18 pixels or more."""
    if grey.shape != (SIZE, SIZE):
        return None
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(edge))
    if (ink < 0.02).mean() < 0.22 or ink.max() < FAINTEST:
        return None
    ink = ink / ink.max()
    box = max(map(len, _box(ink > 0.2)))
    return np.asarray(ink, np.float32) if box >= BOX - 2 else None


def _box(mask: np.ndarray) -> tuple[range, range]:
    """Return the rows and the columns from the first to the last with anything in `mask`."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return range(rows[0], rows[-1] + 1), range(columns[0], columns[-1] + 1)


def _shrunk(grey: np.ndarray) -> np.ndarray:
    factor = LONGEST / max(grey.shape)
    if factor >= 1:
        return grey
    height, width = (max(1, round(side * factor)) for side in grey.shape)
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BOX))


def _ink(grey: np.ndarray) -> tuple[np.ndarray, float]:
    """Return by how much each pixel of `grey` is darker than the paper, or brighter where that is the ink, and the
    spread of the paper itself.

    The paper is a quadratic surface, fitted by least squares in turns: first to all pixels but the outliers, which tell
    dark ink from bright; then only to those that are not ink.
    """
    height, width = grey.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    step = max(1, len(terms) // 8_000)  # these are enough
    some, values = terms[::step], grey.reshape(-1)[::step].astype(np.float64)

    def fit(weights: np.ndarray) -> np.ndarray:
        weighted = some * weights[:, None]
        ridge = 1e-4 * len(values) * np.diag([0, 1, 1, 1, 1, 1])  # a flat paper rather than one that bends into ink
        return np.linalg.solve(weighted.T @ some + ridge, weighted.T @ values)

    above = values - np.median(values)
    for _ in range(5):
        spread = max(1.4826 * np.median(np.abs(above)), 1 / 255)
        above = values - some @ fit(np.clip(1 - (above / (4 * spread)) ** 2, 0, 1) ** 2 + 1e-6)
    strong = 0.4 * np.abs(above).max()
    sign = -1 if -above[above < -strong].sum() >= above[above > strong].sum() else 1
    surface = fit(np.ones(len(values)))
    for _ in range(12):
        paper = -sign * above
        spread = max(1.4826 * np.median(paper[paper > 0]) if (paper > 0).any() else 0.0, 1 / 255)
        surface = fit(((paper > -2 * spread) & (paper < 4 * spread)) + 1e-6)
        above = values - some @ surface
    return np.clip(sign * (grey - (terms @ surface).reshape(grey.shape)), 0, None), float(spread)


def _digit(ink: np.ndarray, noise: float) -> np.ndarray:
    """Return which pixels of `ink` belong to the digit; none if there is no ink."""
    nothing = np.zeros(ink.shape, bool)
    if ink.max() < max(FAINTEST, 4 * noise):
        return nothing
    sure = max(4 * noise, 0.7 * _otsu(ink[ink > 2 * noise]))
    mask = ndimage.binary_propagation(ink > sure, AROUND, mask=ink > max(3 * noise, sure / 2))
    if gap := max(ink.shape) // 100:  # between the grains of a chalk stroke
        mask = ndimage.binary_closing(np.pad(mask, gap + 1), iterations=gap)[gap + 1 : -gap - 1, gap + 1 : -gap - 1]
    labels, count = ndimage.label(mask, AROUND)
    if not count:
        return nothing
    boxes = ndimage.find_objects(labels)
    weight = ndimage.sum_labels(ink, labels, range(1, count + 1))
    height, width = ink.shape
    touches = np.array([0 in (b[0].start, b[1].start) or b[0].stop == height or b[1].stop == width for b in boxes])
    main = int((weight * np.where(touches, TOUCHING, 1)).argmax())
    rows, columns = boxes[main]
    size = max(rows.stop - rows.start, columns.stop - columns.start)
    if size < max(3, SMALLEST * max(ink.shape)):
        return nothing
    parts = [main + 1]
    for number, (other_rows, other_columns) in enumerate(boxes):
        apart = max(
            *(one.start - other.stop for one, other in ((rows, other_rows), (columns, other_columns))),
            *(other.start - one.stop for one, other in ((rows, other_rows), (columns, other_columns))),
        )
        if weight[number] > 0.02 * weight[main] and apart <= 0.2 * size and touches[number] <= touches[main]:
            parts.append(number + 1)
    return np.isin(labels, parts)


def _otsu(values: np.ndarray) -> float:
    """Return what divides `values`, none negative, best into two groups. Source: Otsu (1979)."""
    counts, edges = np.histogram(values, 128, range=(0, values.max()))
    middles = (edges[1:] + edges[:-1]) / 2
    below, mass = np.cumsum(counts)[:-1], np.cumsum(counts * middles)[:-1]
    total, whole = counts.sum(), (counts * middles).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (whole * below / total - mass) ** 2 / (below * (total - below))
    return float(middles[np.nan_to_num(between).argmax()])


def _cut(ink: np.ndarray, digit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of `ink` with the digit, in [0, 1], and which of its pixels are the digit's."""
    rows, columns = _box(digit)
    part = np.s_[max(rows[0] - 2, 0) : rows[-1] + 3, max(columns[0] - 2, 0) : columns[-1] + 3]
    near = ndimage.binary_dilation(digit[part], iterations=2)  # strokes have soft edges
    return np.clip(ink[part] * near / np.quantile(ink[digit], 0.7), 0, 1), digit[part]


def _thickened(ink: np.ndarray, digit: np.ndarray) -> np.ndarray:
    """Return `ink` with strokes at least STROKE wide."""
    inside = ndimage.distance_transform_edt(np.pad(digit, 1))[1:-1, 1:-1]
    middle = inside[(inside == ndimage.maximum_filter(inside, 3)) & (inside > 0)]
    grow = round(STROKE * max(map(len, _box(digit))) - (2 * middle.mean() - 0.5))
    if grow < 1:
        return ink
    y, x = np.mgrid[-(grow // 2) : grow // 2 + 1, -(grow // 2) : grow // 2 + 1]
    return np.asarray(ndimage.grey_dilation(np.pad(ink, grow), footprint=y * y + x * x <= grow * grow / 4 + 0.25))


def _fitted(ink: np.ndarray) -> np.ndarray:
    """Return the part with ink, scaled so that its longer side has BOX pixels."""
    rows, columns = _box(ink > 0.5)
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    height, width = (max(1, round(side * BOX / max(cut.shape))) for side in cut.shape)
    way = Image.Resampling.BOX if max(cut.shape) > 2 * BOX else Image.Resampling.BILINEAR
    scaled = np.asarray(Image.fromarray(cut).resize((width, height), way))
    return np.clip(scaled / max(np.quantile(scaled, 0.97), 0.3), 0, 1)


def _centred(digit: np.ndarray) -> np.ndarray:
    """Return (28, 28) with the centre of mass of `digit` in the middle."""
    canvas = np.zeros((SIZE, SIZE), np.float32)
    top, left = ((SIZE - side) // 2 for side in digit.shape)
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    # Whole pixels: they move the digit and leave its strokes as they are.
    moves = np.round((SIZE - 1) / 2 - np.array(ndimage.center_of_mass(canvas)))
    return np.asarray(ndimage.shift(canvas, moves, order=0))
