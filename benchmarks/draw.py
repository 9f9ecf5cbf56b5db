"""The plots of benchmarks/results/training.json, learning_curve.json and cost.json: `python -m benchmarks.draw` writes
docs/training.png, docs/learning_curve.png and docs/scaling.png.
"""

import math
import statistics
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from scipy.stats import t

import benchmarks
from pipeline.reporting import plots

OURS, OTHERS = plots.BLUE, plots.ORANGE
PICTURE, CURVE, SCALING = (Path(f"docs/{name}.png") for name in ("training", "learning_curve", "scaling"))
LEFT_OUT = {
    "bare_cnn": "differs from cnn in the loop only",
    "cnn_refit": "no better than cnn and hardly to be told from it",
    "pytorch_example": "not measured as it is fastest",
}
TITLES = {
    "small": "1,797 small digits",
    "few": "1,797 small digits, two models",
    "mnist": "MNIST",
    "many": "MNIST, 1.1 million stored images",
}  # of sizes of benchmarks.scaling

Runs = dict[str, list[tuple[float, float]]]  # by seed: (seconds, test accuracy) after each epoch


def epochs(runs: Runs) -> list[tuple[float, list[float]]]:
    """Return, for each measured epoch, the median of the seconds and the accuracy of every seed."""
    return [
        (statistics.median(seconds for seconds, _ in epoch), [accuracy for _, accuracy in epoch])
        for epoch in zip(*runs.values(), strict=True)
    ]


def shown(recipes: dict[str, Runs]) -> dict[str, Runs]:
    """Return our models as they are by default, and of each published recipe the fastest way to run it."""
    found: dict[str, str] = {}
    for name in sorted(recipes, key=lambda name: epochs(recipes[name])[-1][0]):
        ours = name.startswith(("cnn", "ensemble"))
        if not (ours and name.endswith(", free")):
            found.setdefault(name if ours else name.split(",")[0], name)
    return {name: recipes[name] for name in found.values()}


def training(recipes: dict[str, Runs]) -> Figure:
    """Draw the mean test error versus training time, with minimum and maximum over seeds."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, runs in recipes.items():
        points = epochs(runs)
        seconds = [seconds for seconds, _ in points]
        errors = [[100 * (1 - accuracy) for accuracy in accuracies] for _, accuracies in points]
        means = [statistics.mean(values) for values in errors]
        below = [mean - min(values) for mean, values in zip(means, errors, strict=True)]
        above = [max(values) - mean for mean, values in zip(means, errors, strict=True)]
        bars = [below, above] if len(runs) > 1 else None
        color = OURS if name.startswith(("cnn", "ensemble")) else OTHERS
        axes.errorbar(seconds, means, bars, color=color, marker="o", capsize=4, linewidth=1)
        label, end = f"{name.replace(', channels_last, free', '')}\n(n = {len(runs)})", (seconds[-1], means[-1])
        axes.annotate(label, end, (9, -16 if color == OURS else 4), textcoords="offset points", color=color)
    axes.set(xscale="log", yscale="log", ylabel="test error (%)")
    axes.set_xlabel("training time (s), two threads")
    axes.set_title("Test error versus training time: mean, minimum and maximum over n seeds")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_yticks([0.2, 0.3, 0.5, 1, 2])
    axes.margins(x=0.45)
    axes.grid(alpha=0.3)
    return figure


def interval(errors: list[float]) -> tuple[float, float, float]:
    """Return the geometric mean of error rates over seeds and its 95% interval, by Student's t on their logarithms."""
    logs = [math.log(error) for error in errors]
    mean = statistics.mean(logs)
    half = float(t.isf(0.025, len(logs) - 1)) * statistics.stdev(logs) / len(logs) ** 0.5 if len(logs) > 1 else 0.0
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def learning_curve(models: dict[str, dict[str, Any]]) -> Figure:
    """Draw the test error of each model versus images and versus seconds, with 95% intervals over seeds.

    Args:
        models: results of `benchmarks.learning_curve`.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for color, (name, found) in zip(colormaps["tab10"].colors, models.items(), strict=False):  # type: ignore[attr-defined]
        runs = {int(size): list(seeds.values()) for size, seeds in found["sizes"].items()}
        errors = [interval([100 * run["errors"] / run["test_images"] for run in seeds]) for seeds in runs.values()]
        means = [mean for mean, _, _ in errors]
        bars = [[mean - low for mean, low, _ in errors], [high - mean for mean, _, high in errors]]
        seconds = [statistics.median(run["seconds"] for run in seeds) for seeds in runs.values()]
        label = f"{name} (n = {min(map(len, runs.values()))})"
        for panel, values in zip(axes, (list(runs), seconds), strict=True):
            panel.errorbar(
                values, means, bars, color=color, marker="o", markersize=4, capsize=3, linewidth=1, label=label
            )
    axes[0].set(xlabel="images for training and validation", ylabel="test error (%)")
    axes[1].set(xlabel="seconds of fitting, median")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize="small")
    for panel in axes:
        panel.set(xscale="log", yscale="log")
        panel.grid(alpha=0.3, which="both")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axis.set_minor_formatter(NullFormatter())
    axes[0].set_yticks([0.3, 0.5, 1, 2, 5, 10])
    figure.suptitle("Test error of each model: mean and 95% interval over n seeds")
    return figure


def scaling(sizes: dict[str, dict[str, Any]]) -> Figure:
    """Draw how long all stages take on how many workers, as the cost model predicts it, and as it was measured on two.

    Args:
        sizes: of `benchmarks.cost`, by name: seconds, predicted_seconds by the number of workers.
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    for color, (name, found) in zip((plots.BLUE, plots.GREY, plots.ORANGE, plots.GREEN), sizes.items(), strict=False):
        workers, seconds = zip(*((int(n), value) for n, value in found["predicted_seconds"].items()), strict=True)
        axes.plot(workers, seconds, color=color, marker=".", linewidth=1, label=f"{TITLES[name]}: predicted")
        axes.plot(2, found["seconds"], color=color, marker="o", markersize=9, linestyle="", label="measured")
    axes.set(xscale="log", yscale="log", xlabel="workers of one core each", ylabel="all stages (s)")
    axes.set_title("Duration of the pipeline on a cluster")
    axes.set_xticks(workers)
    axes.set_yticks([100, 200, 500, 1000, 2000])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def main() -> None:
    """Draw the results."""
    results = benchmarks.read("training")
    plots.save(training(shown({name: runs for name, runs in results.items() if name not in LEFT_OUT})), PICTURE)
    if curve := benchmarks.read("learning_curve"):
        plots.save(learning_curve(curve), CURVE)
    if cost := benchmarks.read("cost"):
        plots.save(scaling(cost["sizes"]), SCALING)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.draw")
