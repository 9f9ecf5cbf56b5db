"""All pictures of the pipeline, as matplotlib figures. Equal input gives equal bytes."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

DIGITS = range(10)
BLUE, ORANGE, GREEN, GREY = "#2563eb", "#ea580c", "#059669", "#64748b"
SPLITS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
DPI = 110

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


@default_style
def class_balance(images_per_digit: Mapping[str, Sequence[int]]) -> Figure:
    """Draw the percentage of each digit in each split; `images_per_digit` has ten counts per split."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    for place, (split, counts) in enumerate(images_per_digit.items()):
        share = 100 * np.array(counts) / sum(counts)
        label = f"{split} ({sum(counts):,} images)"
        axes.bar(np.arange(10) + 0.28 * (place - 1), share, 0.27, label=label, color=SPLITS[split])
    axes.axhline(10, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(title="Class balance", xlabel="digit", ylabel="% of the split", xticks=list(DIGITS))
    axes.set_ylim(0, 17)
    axes.legend(ncols=3, frameon=False, loc="upper center")
    return figure


@default_style
def samples(images: np.ndarray, labels: np.ndarray, per_digit: int) -> Figure:
    """Draw the first `per_digit` images of each digit, one row per digit."""
    rows = [images[np.flatnonzero(labels == digit)[:per_digit]] for digit in DIGITS]
    blank = np.zeros(images.shape[1:], images.dtype)
    mosaic = np.vstack([np.hstack([*row, *[blank] * (per_digit - len(row))]) for row in rows])
    figure = Figure(figsize=(0.55 * per_digit, 5.7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(255 - mosaic, cmap="gray", vmin=0, vmax=255)
    axes.set_title("Training images, one row per digit")
    axes.axis("off")
    return figure


@default_style
def mean_and_std(images: np.ndarray, labels: np.ndarray) -> Figure:
    """Draw the mean and the standard deviation of the images of each digit."""
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    grid = figure.subplots(2, 10)
    for digit in DIGITS:
        chosen = images[labels == digit]
        for row, picture in enumerate((chosen.mean(axis=0), chosen.std(axis=0))):
            grid[row, digit].imshow(picture, cmap="magma", vmin=0, vmax=255 if row == 0 else 128)
            grid[row, digit].set(xticks=[], yticks=[])
        grid[0, digit].set_title(str(digit))
    grid[0, 0].set_ylabel("mean")
    grid[1, 0].set_ylabel("std")
    figure.suptitle("Mean and standard deviation of the training images")
    return figure


@default_style
def intensity(images: np.ndarray) -> Figure:
    """Draw a histogram of the pixel values of uint8 `images`."""
    counts = np.bincount(images.ravel(), minlength=256) / images.size
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.bar(np.arange(256), 100 * counts, 1.0, color=BLUE)
    axes.set_yscale("log")
    title = f"Pixel values: {100 * counts[0]:.0f}% are 0 (background)"
    axes.set(title=title, xlabel="pixel value (255: full ink)", ylabel="% of pixels (log)")
    return figure


@default_style
def embedding(points: np.ndarray, labels: np.ndarray) -> Figure:
    """Draw points (n, 2) coloured by digit, and each digit at the median of its points."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    axes.scatter(points[:, 0], points[:, 1], c=labels, cmap="tab10", vmin=0, vmax=9, s=8, linewidths=0)
    for digit in sorted(set(labels.tolist())):
        x, y = np.median(points[labels == digit], axis=0)
        axes.text(x, y, str(digit), fontsize=18, weight="bold", ha="center", va="center")
    axes.set(title=f"t-SNE of {len(points):,} training images", xticks=[], yticks=[])
    return figure


@default_style
def confusion(matrix: np.ndarray, title: str) -> Figure:
    """Draw a confusion matrix (10, 10) of counts, rows are actual digits; only errors are coloured."""
    errors = matrix * (1 - np.eye(10, dtype=int))
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(errors, cmap="Oranges", vmax=max(10, int(errors.max() * 1.3)))
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            weight = "bold" if row == column else "normal"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, weight=weight)
    axes.set(title=title, xlabel="predicted", ylabel="actual", xticks=list(DIGITS), yticks=list(DIGITS))
    return figure


@default_style
def gallery(images: np.ndarray, captions: Sequence[str], title: str) -> Figure:
    """Draw `images` (n, 28, 28), ten per row, each below its caption."""
    size, space = images.shape[1], 12  # space for the caption, in pixels of an image
    rows = max(1, -(-len(images) // 10))
    mosaic = np.zeros((rows * (size + space), 10 * size))
    figure = Figure(figsize=(9, 1.25 * rows + 0.5), layout="constrained")
    axes = figure.subplots()
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = place // 10 * (size + space) + space, place % 10 * size
        mosaic[top : top + size, left : left + size] = image
        axes.text(left + size / 2, top - 1, caption, fontsize=7, ha="center", va="bottom")
    axes.imshow(255 - mosaic, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title)
    axes.axis("off")
    return figure


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
        parts: as `pipeline.scoring.slices` returns them; slices without images are left out.
    """
    drawn = {group: [row for row in rows if row["images"]] for group, rows in parts.items()}
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
        axes.set_ylabel(group.replace("_", " "))
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
