"""What stages cost on a cluster beside their commands: `python -m benchmarks.cost`, after `benchmarks.scaling`.

Model: a stage takes the seconds of its command, a constant, and so many seconds per file and per byte that are
exchanged through the remote. These three are fitted to the runs with size `small` and `mnist`, and checked on the run
with size `many`, which moves more bytes than any of them. How long all stages take together on any number of workers
follows by playing the coordinator's part, see `wall_time`; the start of the cluster adds a constant.
"""

import heapq
import itertools
import statistics
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import yaml
from scipy.optimize import nnls

import benchmarks

FITTED, CHECKED = ("small", "mnist"), "many"
WORKERS = (1, 2, 4, 8, 16, 100)
IMAGES, BYTES = 55_000, 784  # of MNIST's training set, and of each image
MANY = 10**9  # images, on paper


class Cost(NamedTuple):
    """Seconds of a stage beside its command: of each stage, of each file and of each byte that is exchanged."""

    stage: float
    file: float
    byte: float

    def of(self, files: int, count: int) -> float:
        """Return the seconds of a stage that exchanges so many files and bytes."""
        return self.stage + self.file * files + self.byte * count


def overheads(run: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of each stage of a run beside its command."""
    return {name: stage["total"] - stage["seconds"] for name, stage in run["stages"].items()}


def fit(runs: list[dict[str, Any]]) -> Cost:
    """Return the cost that explains the `overheads` of all stages best; relative errors of small and large ones weigh
    the same.
    """
    rows = [(1, *run["exchanged"][name], seconds) for run in runs for name, seconds in overheads(run).items()]
    table = np.array(rows, float)
    table /= np.maximum(table[:, 3:], 0.1)
    scale = table[:, :3].max(axis=0)
    found, _ = nnls(table[:, :3] / scale, table[:, 3])
    return Cost(*(float(value) for value in found / scale))


def graph_of(lock: dict[str, Any]) -> nx.DiGraph:
    """Return the stages of a dvc.lock, with edges from each to those that read its outputs."""
    graph = nx.DiGraph()
    graph.add_nodes_from(lock["stages"])
    for (first, one), (second, other) in itertools.permutations(lock["stages"].items(), 2):
        outs, deps = ([Path(file["path"]) for file in files] for files in (one["outs"], other["deps"]))
        if any(out == dep or out in dep.parents or dep in out.parents for out in outs for dep in deps):
            graph.add_edge(first, second)
    return graph


def wall_time(graph: nx.DiGraph, seconds: dict[str, float], workers: int) -> float:
    """Return how long all stages of `graph` take on `workers` workers, each of which runs one stage at a time. Of the
    stages that could start, the one with the longest way to the end goes first, as `pipeline.commands.repro` does.
    """
    left: dict[str, float] = {}
    for name in reversed(list(nx.topological_sort(graph))):
        left[name] = seconds[name] + max((left[after] for after in graph.successors(name)), default=0.0)
    missing = {name: graph.in_degree(name) for name in graph}
    ready = [name for name in graph if not missing[name]]
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        ready.sort(key=left.__getitem__)
        while ready and len(running) < workers:
            name = ready.pop()
            heapq.heappush(running, (now + seconds[name], name))
        now, done = heapq.heappop(running)
        for after in graph.successors(done):
            missing[after] -= 1
            if not missing[after]:
                ready.append(after)
    return now


def predicted(run: dict[str, Any], cost: Cost, graph: nx.DiGraph, workers: int) -> float:
    """Return how long the stages of `run` take on `workers` workers, without the start of the cluster."""
    exchanged = run["exchanged"]
    totals = {name: found["seconds"] + cost.of(*exchanged[name]) for name, found in run["stages"].items()}
    return wall_time(graph.subgraph(totals), totals, workers)


def seconds_per_image(runs: dict[str, Any]) -> dict[str, float]:
    """Return by how much each image lengthens each stage, from two of the results of `benchmarks.copies`: those with
    the fewest and the most images that have the stage.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for copies, stages in sorted(runs.items(), key=lambda item: int(item[0])):
        for name, stage in stages.items():
            found.setdefault(name, []).append((IMAGES * (1 + int(copies)), stage["seconds"]))
    return {
        name: (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])
        for name, points in found.items()
        if len(points) > 1
    }


def main() -> None:
    """Fit, check, print and write the results."""
    runs = {size: benchmarks.read(f"scaling_{size}")["cluster"] for size in (*FITTED, CHECKED)}
    cost = fit([runs[size] for size in FITTED])
    graph = graph_of(yaml.safe_load(subprocess.check_output(["git", "show", "HEAD:dvc.lock"])))
    start = max(0.0, statistics.mean(runs[size]["seconds"] - predicted(runs[size], cost, graph, 2) for size in FITTED))
    print(f"{cost.stage:.1f} s a stage, {cost.file:.3f} s a file, {1e9 * cost.byte:.1f} s a GB, {start:.0f} s to start")
    results: dict[str, Any] = {"cost": cost._asdict(), "start": start, "sizes": {}}
    for size, run in runs.items():
        results["sizes"][size] = {
            "overhead": round(sum(overheads(run).values()), 1),
            "predicted_overhead": round(sum(cost.of(*run["exchanged"][name]) for name in run["stages"]), 1),
            "seconds": run["seconds"],
            "predicted_seconds": {str(n): round(start + predicted(run, cost, graph, n), 1) for n in WORKERS},
        }
        print(size, results["sizes"][size])
    per_image = seconds_per_image(benchmarks.read("copies"))
    hours = {name: round(seconds * MANY / 3600, 1) for name, seconds in per_image.items()}
    results["many"] = {"images": MANY, "hours": hours, "hours_to_exchange": round(cost.byte * MANY * BYTES / 3600, 1)}
    print(results["many"])
    benchmarks.write("cost", results)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.cost")
