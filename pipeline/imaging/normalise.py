"""Making a digit look like MNIST: ink bright on dark, in a box of 20x20 pixels, its centre of mass in the middle of
28x28, in strokes as wide as MNIST's. Source of that form: LeCun et al. (1998), as described at
http://yann.lecun.com/exdb/mnist/.
"""

import cv2
import numpy as np

SIZE, BOX = 28, 20
STROKE = 0.12  # width of a stroke at least, in lengths of the digit's longer side; MNIST's are that wide
EDGE = 0.15  # amount of ink that is taken for none, and that is missing from full ink: edges are less soft then
FAINTEST = 0.05  # contrast of ink at least, of the range from black to white


def as_it_is(grey: np.ndarray) -> np.ndarray | None:
    """Return `grey`, (height, width) float32 in [0, 1], as bright ink on dark if it looks like MNIST already: 28x28,
    even paper at the edge, and ink in a box of about 20 pixels around the middle. None otherwise.
    """
    if grey.shape != (SIZE, SIZE):
        return None
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(edge))
    if np.ptp(edge) > 0.1 or ink.max() < FAINTEST:
        return None
    ink = ink / ink.max()
    rows, columns = box(ink > 0.2)
    aside = max(abs((side[0] + side[-1]) / 2 - (SIZE - 1) / 2) for side in (rows, columns))
    return np.asarray(ink, np.float32) if BOX - 2 <= max(len(rows), len(columns)) <= BOX + 2 and aside <= 4 else None


def normalise(amount: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a digit as a model reads it, (28, 28) float32 in [0, 1].

    Args:
        amount: (height, width) float32, ink of any strength.
        mask: (height, width) bool, which of it is the digit's.
    """
    margin = 2  # strokes have soft edges
    amount, mask = np.pad(amount, margin), np.pad(mask, margin)
    near = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), iterations=margin)
    strong = np.clip(amount * near / max(float(np.quantile(amount[mask], 0.7)), 1e-3), 0, 1)
    steep = np.clip((strong - EDGE) / (1 - 2 * EDGE), 0, 1)  # so that narrow gaps between strokes stay open
    return _centred(_fitted(_thickened(steep, mask)))


def box(mask: np.ndarray) -> tuple[range, range]:
    """Return the rows and the columns from the first to the last with anything in `mask`."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return range(rows[0], rows[-1] + 1), range(columns[0], columns[-1] + 1)


def _thickened(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return `ink` with strokes at least STROKE wide."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    inside = np.sqrt(np.rint(inside**2))  # squares are whole numbers; OpenCV's last bits hang on chance
    middle = inside[(inside == cv2.dilate(inside, np.ones((3, 3), np.uint8))) & (inside > 0)]
    grow = round(STROKE * max(map(len, box(mask))) - (2 * float(middle.mean()) - 0.5))
    if grow < 1:
        return ink
    y, x = np.mgrid[-(grow // 2) : grow // 2 + 1, -(grow // 2) : grow // 2 + 1]
    return cv2.dilate(np.pad(ink, grow), (y * y + x * x <= grow * grow / 4 + 0.25).astype(np.uint8))


def _fitted(ink: np.ndarray) -> np.ndarray:
    """Return the part with ink, scaled so that its longer side has BOX pixels."""
    rows, columns = box(ink > 0.5 * ink.max())
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * BOX / max(cut.shape))) for side in cut.shape)
    way = cv2.INTER_AREA if max(cut.shape) > BOX else cv2.INTER_LINEAR
    scaled = cv2.resize(cut, (width, height), None, 0, 0, way)
    return np.clip(scaled / max(float(np.quantile(scaled, 0.97)), 0.3), 0, 1)


def _centred(digit: np.ndarray) -> np.ndarray:
    """Return (28, 28) with the centre of mass of `digit` in the middle, as near as whole pixels allow."""
    canvas = np.zeros((SIZE, SIZE), np.float32)
    for axis in (0, 1):
        mass = digit.sum(axis=1 - axis)
        centre = float((mass * np.arange(len(mass))).sum() / mass.sum())
        start = round((SIZE - 1) / 2 - centre)
        if axis == 0:
            top = min(max(start, 0), SIZE - len(mass))
        else:
            left = min(max(start, 0), SIZE - len(mass))
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return canvas
