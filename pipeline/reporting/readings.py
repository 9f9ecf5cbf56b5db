"""What a model saw in pictures, and which ink decided."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
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
    columns = 1 + max((len(digits) for _, _, digits in shown), default=0)
    figure = Figure(figsize=(1.6 + 1.5 * columns, 3.1 * max(len(shown), 1)), layout="constrained")
    grid = figure.subplots(3 * max(len(shown), 1), columns, squeeze=False, width_ratios=[2, *[1] * (columns - 1)])
    for cell in grid.ravel():
        cell.axis("off")
    for number, (name, grey, digits) in enumerate(shown):
        rows = grid[3 * number : 3 * number + 3]
        rows[1, 0].axis("on")
        rows[1, 0].imshow(grey, cmap="gray", vmin=0, vmax=1)
        rows[1, 0].set(
            xticks=[], yticks=[], title=f"{Path(name).name}: {''.join(str(d.digit) for d in digits) or 'no digit'}"
        )
        for column, digit in enumerate(digits, 1):
            left, top, right, bottom = digit.box
            frame = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=plots.ORANGE)
            rows[1, 0].add_patch(frame)
            rows[0, column].imshow(1 - digit.image, cmap="gray", vmin=0, vmax=1)
            rows[0, column].set_title(f"{digit.digit}  {digit.probability:.1%}", fontsize=9)
            rows[1, column].imshow(1 - 0.35 * digit.image, cmap="gray", vmin=0, vmax=1)
            heat = saliency(classifier, digit)
            rows[1, column].imshow(
                heat, cmap="Reds", vmin=0, vmax=max(0.05, heat.max()), alpha=np.clip(heat / max(0.05, heat.max()), 0, 1)
            )
            bars = rows[2, column]
            bars.axis("on")
            colours = [plots.ORANGE if d == digit.digit else plots.BLUE for d in range(10)]
            bars.bar(range(10), digit.probabilities, color=colours)
            bars.set(ylim=(0, 1), xticks=range(10), yticks=[])
            bars.tick_params(labelsize=6)
    plots.save(figure, path)
