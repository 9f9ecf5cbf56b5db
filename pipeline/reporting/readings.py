"""What a model saw in pictures, and which ink decided."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Rectangle

from pipeline.artifact import Classifier
from pipeline.reading import Digit
from pipeline.reporting import plots

PATCH, STEP = 5, 2  # pixels of 28: what is covered at a time, and how far the cover moves
MOST = 20  # pictures that are drawn


def saliency(classifier: Classifier, digit: Digit) -> np.ndarray:
    """Return (28, 28) float32, by how much the probability of `digit` falls when the ink around a pixel is covered.

    Source: occlusion sensitivity, Zeiler and Fergus: Visualizing and Understanding Convolutional Networks (2014).
    """
    size = len(digit.image)
    places = [(y, x) for y in range(0, size - PATCH + 1, STEP) for x in range(0, size - PATCH + 1, STEP)]
    covered = np.repeat(digit.image[None, None], len(places), axis=0)
    for image, (y, x) in zip(covered, places, strict=True):
        image[:, y : y + PATCH, x : x + PATCH] = 0
    falls = digit.probability - classifier.probabilities(covered)[:, digit.digit]
    total, count = np.zeros((2, size, size), np.float32)
    for fall, (y, x) in zip(falls, places, strict=True):
        total[y : y + PATCH, x : x + PATCH] += fall
        count[y : y + PATCH, x : x + PATCH] += 1
    return total / np.maximum(count, 1)


def save(readings: Sequence[tuple[str, np.ndarray, list[Digit]]], classifier: Classifier, path: Path) -> None:
    """Draw, of the first pictures, each with its boxes; beside it what the model saw of each digit, the ink that
    decided, and the probabilities.

    Args:
        readings: name, grey values (height, width) and digits of each picture.
        classifier: by which they were read.
        path: the PNG file to write.
    """
    shown = readings[:MOST]
    columns = max((len(digits) for _, _, digits in shown), default=0)
    figure = Figure(figsize=(3.6 + 1.2 * columns, 3.2 * max(len(shown), 1)), layout="constrained")
    grid = figure.add_gridspec(max(len(shown), 1), 2, width_ratios=[3.6, 1.2 * columns + 0.01])
    for row, (name, grey, digits) in enumerate(shown):
        axes = figure.add_subplot(grid[row, 0])
        axes.imshow(grey, cmap="gray", vmin=0, vmax=1)
        text = "".join(str(digit.digit) for digit in digits) or "no digit"
        axes.set(xticks=[], yticks=[], title=f"{Path(name).name}: {text}")
        for digit in digits:
            left, top, right, bottom = digit.box
            axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=plots.ORANGE))
        if digits:
            cells = grid[row, 1].subgridspec(3, columns, height_ratios=[1, 1, 0.6])
            for column, digit in enumerate(digits):
                _draw(figure, [cells[place, column] for place in range(3)], digit, saliency(classifier, digit))
    plots.save(figure, path)


def _draw(figure: Figure, cells: Sequence[SubplotSpec], digit: Digit, heat: np.ndarray) -> None:
    """Draw into three cells what the model saw, the ink that decided, and the probabilities."""
    seen, decided, bars = (figure.add_subplot(cell) for cell in cells)
    seen.imshow(1 - digit.image, cmap="gray", vmin=0, vmax=1)
    seen.set_title(f"{digit.digit}  {digit.probability:.1%}", fontsize=9)
    most = max(0.05, float(heat.max()))
    decided.imshow(1 - 0.35 * digit.image, cmap="gray", vmin=0, vmax=1)
    decided.imshow(heat, cmap="Reds", vmin=0, vmax=most, alpha=np.clip(heat / most, 0, 1))
    seen.axis("off")
    decided.axis("off")
    colours = [plots.ORANGE if other == digit.digit else plots.BLUE for other in range(10)]
    bars.bar(range(10), digit.probabilities, color=colours)
    bars.set(ylim=(0, 1), xticks=range(10), yticks=[])
    bars.tick_params(labelsize=6)
