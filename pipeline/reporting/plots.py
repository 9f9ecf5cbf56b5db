"""All pictures of the pipeline, as matplotlib figures. Equal input gives equal bytes."""

import functools
import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager, patheffects, style
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

BLUE, ORANGE, GREEN, GREY = "#2563eb", "#ea580c", "#059669", "#64748b"
SPLITS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
CHANNELS = {"red": "#dc2626", "green": "#16a34a", "blue": BLUE}
DPI = 110
PAPER = 255  # pixel value around images

NAME_LENGTH = 20  # characters of a class's name in a figure
MAX_NAMES = 100  # classes whose names fit along an axis
MAX_ROWS = 50  # classes with a row or a picture each
MAX_COUNTS = 100  # errors in a confusion matrix whose counts are written
CAPTION_WIDTH, CAPTION_LINES = 15, 4  # characters in a line of a caption, and lines
MAX_SIDE = 128  # pixels of an image among others; of larger ones every k-th pixel is drawn
BATCH = 4_000_000  # pixel values that are summed at a time, to save memory

# Decorates functions that create or write a figure: matplotlib's own style replaces the user's matplotlibrc meanwhile.
default_style = style.context(["default", {"axes.spines.top": False, "axes.spines.right": False}])


@default_style
def to_png(figure: Figure) -> bytes:
    """Return `figure` as PNG, without the time or the version of matplotlib in its metadata."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` as PNG, see `to_png`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_png(figure))


def drawable(classes: Sequence[str], length: int = NAME_LENGTH) -> list[str]:
    """Return the names of `classes` for figures: at most `length` characters of each, or the number of the class, as in
    #3, if the font of the figures lacks a character of its name.
    """
    half = (length - 1) // 2
    short = [name if len(name) <= length else f"{name[:half]}…{name[-half:]}" for name in classes]
    return [name if _characters().issuperset(name) else f"#{number}" for number, name in enumerate(short)]


@functools.cache
def _characters() -> frozenset[str]:
    """Return the characters that the font of the figures has."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(chr(code) for code in font.get_charmap() if chr(code).isprintable())


def _literal(text: str) -> str:
    """Return `text` for matplotlib: dollar signs start no formula, and unknown characters are question marks."""
    known = "".join(letter if letter in _characters() or letter == "\n" else "?" for letter in text)
    return known.replace("$", r"\$")


def _label_classes(axis: Axis, classes: Sequence[str], size: float | None = None, *, upright: bool = False) -> None:
    """Label an axis with the names of classes, or, if there are too many, with some of their numbers."""
    if len(classes) <= MAX_NAMES:
        names = [_literal(name) for name in drawable(classes)]
        axis.set_ticks(range(len(classes)), names, fontsize=size, rotation=90 if upright else 0)


def _longest(classes: Sequence[str]) -> int:
    """Return the number of characters in the longest label of an axis of classes."""
    return max(map(len, drawable(classes))) if len(classes) <= MAX_NAMES else 3


def _shown(classes: Sequence[str]) -> tuple[list[int], str]:
    """Return the numbers of at most MAX_ROWS classes, evenly spaced, and a remark for the title if that is not all."""
    numbers = np.linspace(0, len(classes) - 1, min(len(classes), MAX_ROWS)).round().astype(int).tolist()
    return numbers, f" ({len(numbers)} of {len(classes)} classes)" if len(numbers) < len(classes) else ""


def _tiles(images: np.ndarray, columns: int, above: int = 0, between: int = 0) -> np.ndarray:
    """Return `images` (n, height, width) or (n, height, width, 3) uint8 as one mosaic, `columns` in a row.

    Args:
        above, between: pixels of paper above each image, and on its right.
    """
    count, *size = images.shape
    rows = max(1, -(-count // columns))
    height, width = size[0] + above, size[1] + between
    mosaic = np.full((rows * columns, height, width, *size[2:]), PAPER, np.uint8)
    mosaic[:count, above:, : size[1]] = images
    grid = mosaic.reshape(rows, columns, height, width, *size[2:]).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, *size[2:])


def _on_paper(images: np.ndarray, digits: bool) -> np.ndarray:
    """Return uint8 images as they are drawn among others: grey digits, which are bright on dark, as dark ink."""
    step = max(1, max(images.shape[1:3]) // MAX_SIDE)
    small = images[:, ::step, ::step]
    return 255 - small if digits and images.ndim == 3 else small


def _rows_at_a_time(images: np.ndarray) -> int:
    """Return how many of `images` have about BATCH values."""
    return max(1, BATCH // int(np.prod(images.shape[1:])))


@default_style
def class_balance(images_per_class: Mapping[str, Sequence[int]], classes: Sequence[str], *, digits: bool) -> Figure:
    """Draw the percentage of each class in each split; `images_per_class` has a count per class for each split."""
    count = len(classes)
    width = max(8, min(0.26 * count, 16))
    upright = 0.11 * _longest(classes) * count > width - 1  # inches
    figure = Figure(figsize=(width, 3.4 + 0.08 * upright * _longest(classes)), layout="constrained")
    axes = figure.subplots()
    shares = {split: 100 * np.array(counts) / sum(counts) for split, counts in images_per_class.items()}
    for place, (split, share) in enumerate(shares.items()):
        label = f"{split} ({sum(images_per_class[split]):,} images)"
        axes.bar(np.arange(count) + 0.28 * (place - 1), share, 0.27, label=label, color=SPLITS[split])
    axes.axhline(100 / count, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(title="Class balance", xlabel="digit" if digits else "class", ylabel="% of the split")
    _label_classes(axes.xaxis, classes, upright=upright)
    axes.set_ylim(0, max(170 / count, 1.3 * max(share.max() for share in shares.values())))  # room for the legend
    axes.margins(x=0.05 if count <= 10 else 0.01)
    axes.legend(ncols=3, frameon=False, loc="upper center")
    return figure


@default_style
def samples(images: np.ndarray, labels: np.ndarray, classes: Sequence[str], per_class: int, *, digits: bool) -> Figure:
    """Draw the first `per_class` images of each class, one row per class.

    Args:
        images: (n, height, width) or (n, height, width, 3) uint8.
    """
    numbers, remark = _shown(classes)
    size = _on_paper(images[:1], digits).shape[1:]
    drawn = np.full((len(numbers), per_class, *size), PAPER, np.uint8)
    for place, number in enumerate(numbers):
        found = _on_paper(images[np.flatnonzero(labels == number)[:per_class]], digits)
        drawn[place, : len(found)] = found
    between = 0 if digits else -(-size[1] // 16)
    mosaic = _tiles(drawn.reshape(-1, *size), per_class, between, between)
    names = [drawable(classes)[number] for number in numbers]
    row = min(0.54, max(0.3, 10.8 / len(names)))  # inches
    width = row * per_class * (size[1] + between) / (size[0] + between)
    inches = (
        (0.55 * per_class, 5.7) if digits else (max(width + 0.1 * _longest(names) + 0.3, 5), row * len(names) + 0.5)
    )
    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.subplots()
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=255)
    title = f"Training images, one row per {'digit' if digits else 'class'}{remark}"
    if digits:
        axes.set_title(title)
        axes.axis("off")
    else:
        figure.suptitle(title)
        middle = (np.arange(len(names)) + 0.5) * len(mosaic) / len(names)
        axes.set_yticks(middle, [_literal(name) for name in names], fontsize=10 if row > 0.4 else 8)
        axes.tick_params(left=False)
        axes.set_anchor("E")  # space that is left over is for the names
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
    return figure


@default_style
def mean_and_std(images: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw the mean and the standard deviation of the images of each class; of colours, the mean over the channels of
    the standard deviation.
    """
    numbers, remark = _shown(classes)
    blocks, columns = -(-len(numbers) // 10), min(len(numbers), 10)
    figure = Figure(figsize=(max(0.9 * columns, 5), 2.1 * blocks + 0.3), layout="constrained")
    grid = figure.subplots(2 * blocks, columns, squeeze=False)
    names = drawable(classes)
    size = 12 if max(len(names[number]) for number in numbers) <= 7 else 8
    for place, (above, below) in enumerate(zip(grid[::2].flat, grid[1::2].flat, strict=True)):
        if place >= len(numbers):
            above.axis("off")
            below.axis("off")
            continue
        number = numbers[place]
        mean, std = _mean_and_std(images, np.flatnonzero(labels == number))
        above.imshow(mean, cmap="magma", vmin=0, vmax=255)
        below.imshow(std, cmap="magma", vmin=0, vmax=128)
        above.set(xticks=[], yticks=[], ylabel="" if place % 10 else "mean")
        below.set(xticks=[], yticks=[], ylabel="" if place % 10 else "std")
        above.set_title(_literal("\n".join(textwrap.wrap(names[number], 12))), fontsize=size)
    figure.suptitle(f"Mean and standard deviation of the training images{remark}")
    return figure


def _mean_and_std(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (height, width) or, in colour, (height, width, 3) uint8, and standard deviation (height, width)."""
    total = np.zeros(images.shape[1:])
    squares = np.zeros(images.shape[1:])
    step = _rows_at_a_time(images)
    for start in range(0, len(rows), step):
        batch = images[rows[start : start + step]].astype(np.float64)
        total += batch.sum(axis=0)
        squares += (batch**2).sum(axis=0)
    mean = total / max(1, len(rows))
    std = np.sqrt(np.maximum(squares / max(1, len(rows)) - mean**2, 0))
    return (mean, std) if images.ndim == 3 else (mean.round().astype(np.uint8), std.mean(axis=2))


@default_style
def intensity(images: np.ndarray, *, digits: bool = True) -> Figure:
    """Draw a histogram of the pixel values of uint8 `images`, (n, height, width), or of each channel of (n, height,
    width, 3).
    """
    counts = histogram(images)
    percent = 100 * counts / counts.sum(axis=1, keepdims=True)
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    if len(percent) == 1:
        axes.bar(np.arange(256), percent[0], 1.0, color=BLUE)
    else:
        for share, (channel, colour) in zip(percent, CHANNELS.items(), strict=True):
            axes.stairs(share, np.arange(257) - 0.5, label=channel, color=colour)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_yscale("log")
    zeros = 100 * counts[:, 0].sum() / counts.sum()
    title = f"Pixel values: {zeros:.0f}% are 0{' (background)' if digits else ''}"
    axes.set(title=title, xlabel=f"pixel value{' (255: full ink)' if digits else ''}", ylabel="% of pixels (log)")
    return figure


def histogram(images: np.ndarray) -> np.ndarray:
    """Return how often each pixel value occurs in each channel of uint8 `images`, (channels, 256)."""
    channels = 1 if images.ndim == 3 else images.shape[3]
    counts = np.zeros((channels, 256), np.int64)
    step = _rows_at_a_time(images)
    for start in range(0, len(images), step):
        batch = images[start : start + step].reshape(-1, channels)
        counts += [np.bincount(batch[:, channel], minlength=256) for channel in range(channels)]
    return counts


@default_style
def embedding(points: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw points (n, 2) coloured by class, and the name of each class at the median of its points."""
    figure = Figure(figsize=(7, 6) if len(classes) <= 20 else (10, 9), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["tab10" if len(classes) <= 10 else "tab20" if len(classes) <= 20 else "hsv"]
    last = max(9 if len(classes) <= 10 else 19, len(classes) - 1)
    axes.scatter(points[:, 0], points[:, 1], c=labels, cmap=colours, vmin=0, vmax=last, s=8, linewidths=0)
    names = drawable(classes)
    for number in sorted(set(labels.tolist())):
        x, y = np.median(points[labels == number], axis=0)
        if _longest(classes) == 1 and len(classes) <= 10:
            axes.text(x, y, names[number], fontsize=18, weight="bold", ha="center", va="center")
        elif len(classes) <= MAX_NAMES:
            outline: list[patheffects.AbstractPathEffect] = [patheffects.withStroke(linewidth=2, foreground="white")]
            text = axes.text(
                x,
                y,
                _literal(names[number]),
                fontsize=10 if len(classes) <= 20 else 8,
                weight="bold",
                ha="center",
                va="center",
            )
            text.set_path_effects(outline)
    axes.set(title=f"t-SNE of {len(points):,} training images", xticks=[], yticks=[])
    return figure


@default_style
def confusion(matrix: np.ndarray, title: str, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix (classes, classes) of counts, rows are actual classes; only errors are coloured.

    All counts are written for ten classes, and the largest for more; none if their names do not fit either.
    """
    count = len(classes)
    errors = matrix * (1 - np.eye(count, dtype=int))
    side = min(max(3.4, 0.8 + 0.44 * count), 5.2 + max(0, 0.22 * (count - 10)), 16)
    names = 0.08 * (_longest(classes) - 1)  # inches
    figure = Figure(figsize=(side + 0.4 + names, side + names), layout="constrained")
    axes = figure.subplots()
    axes.imshow(errors, cmap="Oranges", vmax=max(10 if count <= 10 else 5, int(errors.max() * 1.3)))
    smallest = max(1, int(np.sort(errors, axis=None)[-MAX_COUNTS:][0])) if count**2 > MAX_COUNTS else 1
    for (row, column), number in np.ndenumerate(matrix):
        if count <= MAX_NAMES and (number >= smallest or (number and row == column)):
            weight = "bold" if row == column else "normal"
            size = 8 if count <= 10 else 6
            axes.text(column, row, str(number), ha="center", va="center", fontsize=size, weight=weight)
    axes.set(title=title, xlabel="predicted", ylabel="actual")
    _label_classes(
        axes.xaxis, classes, None if count <= 20 else 8, upright=0.1 * _longest(classes) > (side - 0.8) / count
    )
    _label_classes(axes.yaxis, classes, None if count <= 20 else 8)
    return figure


@default_style
def gallery(images: np.ndarray, captions: Sequence[str], title: str, *, digits: bool = True) -> Figure:
    """Draw `images` (n, height, width) or (n, height, width, 3) uint8, ten per row, each below its caption.

    Args:
        digits: whether grey images are bright ink on dark, and drawn as dark ink on paper.
    """
    wrapped = [_wrap(caption) for caption in captions]
    lines = max([caption.count("\n") + 1 for caption in wrapped], default=1)
    drawn = _on_paper(images, digits)
    height, width = drawn.shape[1:3]
    between = max(0 if digits else -(-width // 16), height // 2 - width)
    above = round((8 + 4 * lines) * (width + between) / 28)
    mosaic = _tiles(drawn, 10, above, between)
    rows = len(mosaic) // (height + above)
    tall = 0.875 * rows * (height + above) / (width + between) + (0.5 if digits else 0.8)
    figure = Figure(figsize=(9, tall), layout="constrained")
    axes = figure.subplots()
    for place, caption in enumerate(wrapped):
        top, left = place // 10 * (height + above) + above, place % 10 * (width + between)
        axes.text(left + width / 2, top - 1, caption, fontsize=7 if lines == 1 else 6.5, ha="center", va="bottom")
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title)
    axes.axis("off")
    return figure


def _wrap(caption: str) -> str:
    """Return `caption` in lines of at most CAPTION_WIDTH characters."""
    lines = textwrap.wrap(caption, CAPTION_WIDTH, max_lines=CAPTION_LINES, placeholder="…", break_on_hyphens=False)
    return _literal("\n".join(lines))


@default_style
def curves(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, xlabel: str) -> Figure:
    """Draw error rates in % against steps; `series` maps a split to (steps, error rates as fractions)."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    for split, (steps, errors) in series.items():
        label = split if any(errors) else f"{split} (no errors)"  # zero is not on a logarithmic axis
        axes.plot(steps, 100 * np.array(errors), "o-", markersize=4, label=label, color=SPLITS[split])
    axes.set(title=title, xlabel=xlabel, ylabel="error rate, % (log)", yscale="log")
    _label_log(axes.yaxis, (1, 2, 5))
    axes.legend(frameon=False)
    return figure


@default_style
def learning_curves(learning: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw the error rate in % of each model against the number of images, with error bars of one standard deviation.

    Args:
        learning: for each model a row per number of images, with `images`, `accuracy` and `accuracy_std` as fractions.
    """
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    axes = figure.subplots()
    for place, (model, rows) in enumerate(learning.items()):
        images, accuracy, std = (np.array([row[key] for row in rows]) for key in ("images", "accuracy", "accuracy_std"))
        shifted = images * 1.015 ** (place - (len(learning) - 1) / 2)  # error bars do not overlap
        bars: dict[str, Any] = {"capsize": 3, "elinewidth": 1, "marker": "o", "markersize": 4}
        axes.errorbar(shifted, 100 * (1 - accuracy), 100 * std, label=model, color=f"C{place % 10}", **bars)
    title = "Cross-validated error rate against number of images (error bars: one std)"
    axes.set(title=title, xlabel="images (log)", ylabel="error rate, % (log)", xscale="log", yscale="log")
    sizes = sorted({row["images"] for rows in learning.values() for row in rows})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    _label_log(axes.yaxis, (1, 2, 5))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@default_style
def leaderboard(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the error rate of each model on validation and test, best on top, with the 95% interval on test; `rows` as
    in results/leaderboard.json.
    """
    figure = Figure(figsize=(8, 0.5 * len(rows) + 1.3), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))[::-1]
    scores = ("validation_accuracy", "test_accuracy", "test_accuracy_high", "test_accuracy_low")
    validation, test, least, most = (100 * (1 - np.array([row[score] for row in rows])) for score in scores)
    ends = {"ecolor": "black", "capsize": 2, "linewidth": 1}
    for shift, split, errors, interval in (
        (0.19, "validation", validation, None),
        (-0.19, "test", test, [test - least, most - test]),
    ):
        bars = axes.barh(places + shift, errors, 0.36, xerr=interval, label=split, color=SPLITS[split], error_kw=ends)
        axes.bar_label(bars, [f"{error:.2f}%" for error in errors], padding=3, fontsize=8)
    axes.set_yticks(places, [row["model"] for row in rows])
    axes.set(title="Error rate, with 95% intervals on test (lower is better)", xlabel="error rate, %")
    axes.margins(x=0.1)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@default_style
def reliability(bins: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Draw a reliability diagram: accuracy against confidence, and below it the number of images.

    Args:
        bins: as `pipeline.scoring.reliability` returns them; the area of a point grows with the number of images.
    """
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence, accuracy, images = (
        np.array([row[key] for row in bins]) for key in ("confidence", "accuracy", "images")
    )
    above.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", label="perfect calibration")
    above.plot(confidence, accuracy, color=BLUE, linewidth=1, alpha=0.4)
    area = 12 + 120 * np.sqrt(images / images.sum())
    above.scatter(confidence, accuracy, area, color=BLUE, linewidths=0, clip_on=False)
    above.set(title=title, ylabel="accuracy", ylim=(-0.03, 1.06))
    above.legend(frameon=False, loc="lower right")
    starts, widths = [row["from"] for row in bins], [row["to"] - row["from"] for row in bins]
    below.bar(starts, images, widths, align="edge", color=BLUE)
    below.set(xlabel="confidence", ylabel="images (log)", xlim=(0, 1), yscale="log")
    return figure


@default_style
def slices(parts: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> Figure:
    """Draw the error rate in %, with its 95% interval, on each slice of the test images.

    Args:
        parts: as `pipeline.scoring.slices` returns them; slices without images are left out, and of more than MAX_ROWS
            slices of a kind those with the lowest accuracy are drawn.
    """
    drawn = {}
    for group, rows in parts.items():
        names = drawable([row["slice"] for row in rows], 2 * NAME_LENGTH)
        filled = [{**row, "slice": _literal(name)} for row, name in zip(rows, names, strict=True) if row["images"]]
        worst = sorted(range(len(filled)), key=lambda row: filled[row]["accuracy"])[:MAX_ROWS]
        kept = [filled[row] for row in sorted(worst)]
        some = f" ({len(kept)} worst of {len(filled)})" if len(kept) < len(filled) else ""
        drawn[group.replace("_", " ") + some] = kept
    figure = Figure(figsize=(9, 0.25 * sum(map(len, drawn.values())) + 1.6), layout="constrained")
    panels = figure.subplots(
        len(drawn), 1, sharex=True, squeeze=False, height_ratios=[len(r) + 1 for r in drawn.values()]
    )
    for axes, (group, rows) in zip(panels[:, 0], drawn.items(), strict=True):
        places = np.arange(len(rows))[::-1]
        errors = 100 * (1 - np.array([row["accuracy"] for row in rows]))
        ends = [100 * (1 - np.array([row[key] for row in rows])) for key in ("accuracy_high", "accuracy_low")]
        axes.errorbar(
            errors,
            places,
            xerr=[errors - ends[0], ends[1] - errors],
            fmt="o",
            color=BLUE,
            capsize=3,
            linewidth=1,
            clip_on=False,
        )
        axes.set_yticks(places, [f"{row['slice']} (n = {row['images']:,})" for row in rows], fontsize=8)
        axes.set_ylabel(group)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.grid(axis="x", alpha=0.3)
    figure.align_ylabels()
    panels[0, 0].set_title(title)
    panels[-1, 0].set_xlabel("error rate, %, with 95% interval")
    panels[-1, 0].set_xlim(left=0)
    return figure


@default_style
def size(names: Sequence[str], errors: Sequence[float], kilobytes: Sequence[float]) -> Figure:
    """Draw the test error in % of each model against the size of its ONNX file; `errors` are fractions.

    The vertical axis is logarithmic unless a model has no errors.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    percent = 100 * np.array(errors)
    axes.scatter(kilobytes, percent, color=BLUE, s=30, zorder=3)
    for name, x, y in zip(names, kilobytes, percent, strict=True):
        axes.annotate(name, (x, y), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    log = percent.min() > 0
    axes.set(title="Test error against model size", xlabel="ONNX file, kB (log)", xscale="log")
    axes.set(ylabel="test error, % (log)" if log else "test error, %", yscale="log" if log else "linear")
    axes.margins(x=0.15, y=0.15)
    axes.grid(alpha=0.3)
    for axis in (axes.xaxis, axes.yaxis) if log else (axes.xaxis,):
        low, high = axis.get_data_interval()
        _label_log(axis, (1, 2, 5) if high < 50 * low else (1,))
    return figure


def _label_log(axis: Axis, multiples: Sequence[int]) -> None:
    """Label a logarithmic axis with plain numbers at these multiples of the powers of ten."""
    axis.set_major_locator(LogLocator(subs=multiples))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


@default_style
def search(record: Mapping[str, Any]) -> Figure:
    """Draw a hyperparameter search: the importance of each hyperparameter, and every trial as a line through its values
    to its validation accuracy. The best trial is thick, the first, with the values of params.yaml, dashed, and pruned
    ones are grey.

    Args:
        record: the content of docs/tuning/<model>.json.
    """
    names, importance = list(record["ranges"]), record["importance"]
    figure = Figure(figsize=(9, 4), layout="constrained")
    bars, axes = figure.subplots(1, 2, width_ratios=(1, 2.6))
    upwards = list(reversed(importance))
    bars.barh(upwards, [importance[name] for name in upwards], 0.5, color=BLUE)
    bars.set(title="Importance", xlabel="fraction of the variance of accuracy")
    bars.set(xlim=(0, 1), ylim=(-0.6, max(1, len(upwards)) - 0.4), xticks=[0, 0.5])

    complete = [trial for trial in record["trials"] if trial["state"] == "complete"]
    accuracies = [trial["scores"][-1]["accuracy"] for trial in complete]
    low, high = min(accuracies), max(max(accuracies), min(accuracies) + 1e-6)
    colours = matplotlib.colormaps["viridis_r"]

    def heights(trial: Mapping[str, Any]) -> list[float]:
        return [_relative(trial["params"][name], **record["ranges"][name]) for name in names]

    for trial in record["trials"]:
        if trial["state"] != "complete":
            axes.plot(heights(trial), color=GREY, alpha=0.35, linewidth=0.8)
    for trial, accuracy in sorted(zip(complete, accuracies, strict=True), key=lambda pair: pair[1]):
        height = (accuracy - low) / (high - low)
        line = "--" if trial["number"] == 0 else "-"
        width = 3.0 if trial["number"] == record["best"]["number"] else 1.2
        axes.plot([*heights(trial), height], line, color=colours(height), linewidth=width)
    ends = [(record["ranges"][name]["low"], record["ranges"][name]["high"]) for name in names]
    for x, (bottom, top) in enumerate([*ends, (100 * low, 100 * high)]):
        axes.axvline(x, color=GREY, linewidth=0.8)
        form = "{:.2f}%" if x == len(names) else "{:g}"
        axes.text(x, -0.03, form.format(bottom), ha="center", va="top", fontsize=8, color=GREY)
        axes.text(x, 1.03, form.format(top), ha="center", va="bottom", fontsize=8, color=GREY)
    labels = [f"{name} (log)" if record["ranges"][name]["log"] else name for name in names]
    axes.set_xticks(range(len(names) + 1), [*labels, "validation\naccuracy"])
    kinds = "thick: best, dashed: params.yaml, grey: pruned"
    axes.set(title=f"{record['model']}: {len(record['trials'])} trials ({kinds})", ylim=(-0.12, 1.12), yticks=[])
    axes.spines["left"].set_visible(False)
    return figure


def _relative(value: float, *, low: float, high: float, log: bool) -> float:
    """Return the position of `value` between `low` (0) and `high` (1)."""
    if log:
        value, low, high = (float(np.log(number)) for number in (value, low, high))
    return (value - low) / (high - low)


@default_style
def corruptions(rows: Mapping[str, np.ndarray]) -> Figure:
    """Draw images (severities, n, 28, 28) of each corruption, one row per corruption, lowest severity on the left."""
    figure = Figure(figsize=(12, 0.36 * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots()
    mosaic = np.vstack([np.hstack(list(images.reshape(-1, *images.shape[2:]))) for images in rows.values()])
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=255)
    size = mosaic.shape[0] // len(rows)
    axes.set_yticks(size * (np.arange(len(rows)) + 0.5), list(rows))
    axes.set(title="Corrupted test images, severities 1 to 3", xticks=[])
    return figure
