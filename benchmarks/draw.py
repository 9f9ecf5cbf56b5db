"""The picture of benchmarks/results/training.json: `python -m benchmarks.draw`."""

import json
import statistics
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks import RESULTS
from pipeline.reporting import plots

OURS, OTHERS = plots.BLUE, plots.ORANGE
PICTURE = Path("docs/training.png")


def results(name: str) -> Any:
    """Return what benchmarks/results/<name>.json says."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def epochs(runs: dict[str, list[tuple[float, float]]]) -> list[tuple[float, list[float]]]:
    """Return for each epoch that was measured the median seconds, and the accuracy of every seed."""
    return [
        (statistics.median(seconds for seconds, _ in epoch), [accuracy for _, accuracy in epoch])
        for epoch in zip(*runs.values(), strict=True)
    ]


def training(runs: dict[str, dict[str, list[tuple[float, float]]]]) -> Figure:
    """Draw mean test error against seconds, with the least and greatest of the seeds."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, of_seeds in runs.items():
        points = epochs(of_seeds)
        errors = [[100 * (1 - accuracy) for accuracy in accuracies] for _, accuracies in points]
        means = [statistics.mean(values) for values in errors]
        spread = [[mean - min(v) for mean, v in zip(means, errors, strict=True)]]
        spread += [[max(v) - mean for mean, v in zip(means, errors, strict=True)]]
        color = OURS if name.startswith(("cnn", "ensemble")) else OTHERS
        seconds = [seconds for seconds, _ in points]
        bars = spread if len(of_seeds) > 1 else None
        axes.errorbar(seconds, means, bars, color=color, marker="o", capsize=4, linewidth=1)
        label, end = f"{name}\n(n = {len(of_seeds)})", (seconds[-1], means[-1])
        axes.annotate(label, end, (9, 0), textcoords="offset points", color=color)
    axes.set(xscale="log", yscale="log", ylabel="test error in %")
    axes.set_xlabel("seconds of training, 2 threads unless it says one")
    axes.set_title("Test error against seconds: mean, least and greatest of all seeds")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_yticks([0.2, 0.3, 0.5, 1, 2])
    axes.margins(x=0.45)
    axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    plots.save(training({n: r for n, r in results("training")["results"].items() if n != "bare_cnn"}), PICTURE)
