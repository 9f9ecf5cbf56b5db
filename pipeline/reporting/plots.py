"""Every picture of the pipeline, as matplotlib figures. Same input, same bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

matplotlib.rcdefaults()  # whatever the user's matplotlibrc says

DIGITS = range(10)
BLUE, ORANGE, GREEN, GREY = "#2563eb", "#ea580c", "#059669", "#64748b"
SPLITS = {"train": BLUE, "validation": ORANGE, "test": GREEN}


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as PNG, without a mark of the time or of the library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def class_balance(images_per_digit: Mapping[str, Sequence[int]]) -> Figure:
    """Draw the share of each digit in each split; `images_per_digit` has ten counts per split."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    for place, (split, counts) in enumerate(images_per_digit.items()):
        share = 100 * np.array(counts) / sum(counts)
        label = f"{split} ({sum(counts):,} images)"
        axes.bar(np.arange(10) + 0.28 * (place - 1), share, 0.27, label=label, color=SPLITS[split])
    axes.axhline(10, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(title="How often each digit occurs", xlabel="digit", ylabel="% of the split", xticks=list(DIGITS))
    axes.set_ylim(0, 17)
    axes.legend(ncols=3, frameon=False, loc="upper center")
    return _tidy(figure)


def samples(images: np.ndarray, labels: np.ndarray, per_digit: int) -> Figure:
    """Draw the first `per_digit` images of each digit, a row a digit."""
    rows = [images[np.flatnonzero(labels == digit)[:per_digit]] for digit in DIGITS]
    blank = np.zeros(images.shape[1:], images.dtype)
    wall = np.vstack([np.hstack([*row, *[blank] * (per_digit - len(row))]) for row in rows])
    figure = Figure(figsize=(0.55 * per_digit, 5.7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(255 - wall, cmap="gray", vmin=0, vmax=255)
    axes.set_title("Training images, a row a digit")
    axes.axis("off")
    return figure


def mean_and_spread(images: np.ndarray, labels: np.ndarray) -> Figure:
    """Draw mean and standard deviation of the images of each digit."""
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    grid = figure.subplots(2, 10)
    for digit in DIGITS:
        chosen = images[labels == digit]
        for row, picture in enumerate((chosen.mean(axis=0), chosen.std(axis=0))):
            grid[row, digit].imshow(picture, cmap="magma", vmin=0, vmax=255 if row == 0 else 128)
            grid[row, digit].set(xticks=[], yticks=[])
        grid[0, digit].set_title(str(digit))
    grid[0, 0].set_ylabel("mean")
    grid[1, 0].set_ylabel("spread")
    figure.suptitle("What the images of a digit share, and where they differ")
    return figure


def intensity(images: np.ndarray) -> Figure:
    """Draw how often each pixel value occurs (uint8 images)."""
    counts = np.bincount(images.ravel(), minlength=256) / images.size
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.bar(np.arange(256), 100 * counts, 1.0, color=BLUE)
    axes.set_yscale("log")
    title = f"Pixel values: {100 * counts[0]:.0f}% are 0, the background"
    axes.set(title=title, xlabel="pixel value (255: full ink)", ylabel="% of pixels (log)")
    return _tidy(figure)


def embedding(points: np.ndarray, labels: np.ndarray) -> Figure:
    """Draw points (n, 2) coloured by digit, with each digit at the median of its points."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    axes.scatter(points[:, 0], points[:, 1], c=labels, cmap="tab10", vmin=0, vmax=9, s=8, linewidths=0)
    for digit in sorted(set(labels.tolist())):
        x, y = np.median(points[labels == digit], axis=0)
        axes.text(x, y, str(digit), fontsize=18, weight="bold", ha="center", va="center")
    axes.set(title=f"{len(points):,} training images in two dimensions (t-SNE)", xticks=[], yticks=[])
    return _tidy(figure)


def confusion(matrix: np.ndarray, title: str) -> Figure:
    """Draw a confusion matrix (10, 10) of counts, rows the actual digit; colour shows the mistakes only."""
    mistakes = matrix * (1 - np.eye(10, dtype=int))
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(mistakes, cmap="Oranges", vmax=max(10, int(mistakes.max() * 1.3)))
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            weight = "bold" if row == column else "normal"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, weight=weight)
    axes.set(title=title, xlabel="predicted", ylabel="actual", xticks=list(DIGITS), yticks=list(DIGITS))
    return figure


def gallery(images: np.ndarray, captions: Sequence[str], title: str) -> Figure:
    """Draw `images` (n, 28, 28), ten a row, each under its caption."""
    size, room = images.shape[1], 12  # room for the caption, in pixels of an image
    rows = max(1, -(-len(images) // 10))
    wall = np.zeros((rows * (size + room), 10 * size))
    figure = Figure(figsize=(9, 1.25 * rows + 0.5), layout="constrained")
    axes = figure.subplots()
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = place // 10 * (size + room) + room, place % 10 * size
        wall[top : top + size, left : left + size] = image
        axes.text(left + size / 2, top - 1, caption, fontsize=7, ha="center", va="bottom")
    axes.imshow(255 - wall, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title)
    axes.axis("off")
    return figure


def curves(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, xlabel: str) -> Figure:
    """Draw error rates in % against steps; `series` maps a split to (steps, accuracies)."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    for split, (steps, accuracies) in series.items():
        axes.plot(steps, 100 * (1 - np.array(accuracies)), "o-", markersize=4, label=split, color=SPLITS[split])
    axes.set_yscale("log")
    axes.set(title=title, xlabel=xlabel, ylabel="errors, % (log)")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False)
    return _tidy(figure)


def leaderboard(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the error rate of each model on validation and test, best on top, with the 95% interval on test; `rows` as
    in metrics/leaderboard.json.
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
    axes.set(title="Errors on unseen digits, with 95% intervals on test (fewer is better)", xlabel="%")
    axes.margins(x=0.1)
    axes.legend(frameon=False, loc="upper right")
    return _tidy(figure)


def reliability(bins: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Draw how often a model is right when it is so sure: a point per bin of `pipeline.scoring.reliability`, larger for
    more images, and below it the number of images.
    """
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    sure, right, images = (np.array([bin_[key] for bin_ in bins]) for key in ("confidence", "accuracy", "images"))
    above.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", label="as sure as right")
    above.plot(sure, right, color=BLUE, linewidth=1, alpha=0.4)
    size = 12 + 120 * np.sqrt(images / images.sum())
    above.scatter(sure, right, size, color=BLUE, linewidths=0, clip_on=False)
    above.set(title=title, ylabel="share that is right", ylim=(-0.03, 1.06))
    above.legend(frameon=False, loc="lower right")
    below.bar(
        [bin_["from"] for bin_ in bins], images, [bin_["to"] - bin_["from"] for bin_ in bins], align="edge", color=BLUE
    )
    below.set_yscale("log")
    below.set(xlabel="how sure the model is", ylabel="images (log)", xlim=(0, 1))
    return _tidy(figure)


def slices(parts: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> Figure:
    """Draw the error rate in %, with its 95% interval, on each part of the test images; `parts` as
    `pipeline.scoring.slices` gives them. A part without images is left out.
    """
    shown = {group: [row for row in rows if row["images"]] for group, rows in parts.items()}
    figure = Figure(figsize=(9, 0.25 * sum(map(len, shown.values())) + 1.6), layout="constrained")
    panels = figure.subplots(
        len(shown), 1, sharex=True, squeeze=False, height_ratios=[len(r) + 1 for r in shown.values()]
    )
    for axes, (group, rows) in zip(panels[:, 0], shown.items(), strict=True):
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
    panels[-1, 0].set_xlabel("errors, %, with 95% interval")
    panels[-1, 0].set_xlim(left=0)
    return _tidy(figure)


def costs(names: Sequence[str], errors: Sequence[float], costs: Mapping[str, Sequence[float]]) -> Figure:
    """Draw test errors in % against each of `costs`, a label to a number per model; down and left is better."""
    figure = Figure(figsize=(4.2 * len(costs), 3.8), layout="constrained")
    panels = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for axes, (label, values) in zip(panels, costs.items(), strict=True):
        axes.scatter(values, errors, color=BLUE, s=30, zorder=3)
        for name, x, y in zip(names, values, errors, strict=True):
            axes.annotate(name, (x, y), (0, 7), textcoords="offset points", ha="center", fontsize=8)
        axes.set(xscale="log", yscale="log", xlabel=f"{label} (log)")
        axes.margins(x=0.2, y=0.15)
        axes.grid(alpha=0.3)
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_data_interval()
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
    panels[0].set_ylabel("test errors, % (log)")
    return _tidy(figure)


def search(record: Mapping[str, Any]) -> Figure:
    """Draw a search (docs/tuning/<model>.json): how much each hyperparameter matters, and every trial as a line through
    its values to its validation accuracy; the best is thick, the first dashed, the pruned ones grey.
    """
    names, importance = list(record["ranges"]), record["importance"]
    figure = Figure(figsize=(9, 4), layout="constrained")
    bars, axes = figure.subplots(1, 2, width_ratios=(1, 2.6))
    shown = list(reversed(importance))
    bars.barh(shown, [importance[name] for name in shown], 0.5, color=BLUE)
    bars.set(title="What matters", xlabel="share of the variance of accuracy")
    bars.set(xlim=(0, 1), ylim=(-0.6, max(1, len(shown)) - 0.4), xticks=[0, 0.5])

    complete = [trial for trial in record["trials"] if trial["state"] == "complete"]
    accuracies = [trial["scores"][-1]["accuracy"] for trial in complete]
    low, high = min(accuracies), max(max(accuracies), min(accuracies) + 1e-6)
    colours = matplotlib.colormaps["viridis_r"]

    def heights(trial: Mapping[str, Any]) -> list[float]:
        return [_place(trial["params"][name], **record["ranges"][name]) for name in names]

    for trial in record["trials"]:
        if trial["state"] != "complete":
            axes.plot(heights(trial), color=GREY, alpha=0.35, linewidth=0.8)
    for trial, accuracy in sorted(zip(complete, accuracies, strict=True), key=lambda pair: pair[1]):
        height = (accuracy - low) / (high - low)
        style = "--" if trial["number"] == 0 else "-"
        width = 3.0 if trial["number"] == record["best"]["number"] else 1.2
        axes.plot([*heights(trial), height], style, color=colours(height), linewidth=width)
    ends = [(record["ranges"][name]["low"], record["ranges"][name]["high"]) for name in names]
    for x, (bottom, top) in enumerate([*ends, (100 * low, 100 * high)]):
        axes.axvline(x, color=GREY, linewidth=0.8)
        form = "{:.2f}%" if x == len(names) else "{:g}"
        axes.text(x, -0.03, form.format(bottom), ha="center", va="top", fontsize=8, color=GREY)
        axes.text(x, 1.03, form.format(top), ha="center", va="bottom", fontsize=8, color=GREY)
    labels = [f"{name} (log)" if record["ranges"][name]["log"] else name for name in names]
    axes.set_xticks(range(len(names) + 1), [*labels, "accuracy on\nvalidation"])
    kinds = "thick: the best, dashed: params.yaml's, grey: pruned"
    axes.set(title=f"{record['model']}: {len(record['trials'])} trials ({kinds})", ylim=(-0.12, 1.12), yticks=[])
    axes.spines["left"].set_visible(False)
    return _tidy(figure)


def _place(value: float, *, low: float, high: float, log: bool) -> float:
    """Return where `value` lies between `low` (0) and `high` (1)."""
    if log:
        value, low, high = (float(np.log(number)) for number in (value, low, high))
    return (value - low) / (high - low)


def corruptions(rows: Mapping[str, np.ndarray]) -> Figure:
    """Draw images (severities, n, 28, 28) of each corruption in a row, the mildest on the left."""
    figure = Figure(figsize=(12, 0.36 * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots()
    wall = np.vstack([np.hstack(list(images.reshape(-1, *images.shape[2:]))) for images in rows.values()])
    axes.imshow(wall, cmap="gray", vmin=0, vmax=255)
    size = wall.shape[0] // len(rows)
    axes.set_yticks(size * (np.arange(len(rows)) + 0.5), list(rows))
    axes.set(title="Spoilt test images, in three severities", xticks=[])
    return figure


def _tidy(figure: Figure) -> Figure:
    axes: Axes
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure
