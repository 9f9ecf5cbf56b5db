"""What a cluster adds to each stage, and how long all stages take on any number of workers.

`python -m benchmarks.cost`, after `benchmarks.scaling` with all sizes.

The exchange of data on a worker and the work of DVC in the coordinator, which serves one stage at a time, are each a
constant plus a time per file and a time per byte, fitted by non-negative least squares to the runs with size `small`
and `mnist`. The wall time follows from a simulation of the scheduler, plus a constant: the mean of what these two runs
took beyond it. Both are checked on the sizes `few` and `many`; the latter moves more bytes than those that were fitted.

The remote of these runs is a folder of the same machine. A slower one has another time per byte.
"""

import heapq
import itertools
import json
import statistics
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import yaml
from scipy.optimize import nnls

import benchmarks

FITTED, CHECKED = ("small", "mnist"), ("few", "many")
WORKERS = (1, 2, 4, 8, 16, 100)
IMAGES, BYTES = 55_000, 784  # of MNIST's training set, and of each image
MANY = 10**9  # images, on paper


class Cost(NamedTuple):
    """Seconds of each stage, of each file and of each byte."""

    stage: float
    file: float
    byte: float

    def of(self, files: int, count: int) -> float:
        """Return the seconds of a stage that exchanges so many files and bytes."""
        return self.stage + self.file * files + self.byte * count


class Costs(NamedTuple):
    """What a stage costs beside its command.

    Attributes:
        worker: fetching and pushing, on all workers at once.
        coordinator: DVC's work, for one stage at a time.
    """

    worker: Cost
    coordinator: Cost


def overheads(run: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return the seconds of each stage of a run beside its command: on its worker, and in the coordinator."""
    return {
        name: (stage["moved"], stage["total"] - stage["seconds"] - stage["moved"])
        for name, stage in run["stages"].items()
    }


def fit(runs: list[dict[str, Any]]) -> Costs:
    """Return the costs that explain the `overheads` of all stages best."""
    sizes = np.array([(1, *run["exchanged"][name]) for run in runs for name in run["stages"]], float)
    seconds = [both for run in runs for both in overheads(run).values()]
    worker, coordinator = np.array(seconds, float).T
    return Costs(_fit(sizes, worker), _fit(sizes, coordinator))


def _fit(sizes: np.ndarray, seconds: np.ndarray) -> Cost:
    scale = np.maximum(sizes.max(axis=0), 1)
    found, _ = nnls(sizes / scale, seconds)
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


def wall_time(graph: nx.DiGraph, on_worker: dict[str, float], after: dict[str, float], workers: int) -> float:
    """Return how long all stages of `graph` take on `workers` workers, each of which runs one stage at a time. Of the
    stages that could start, the one with the longest way to the end goes first, as in `pipeline.commands.repro`.

    Args:
        on_worker: seconds of each stage on its worker.
        after: seconds in the coordinator, which serves one stage at a time while the worker waits.
    """
    left: dict[str, float] = {}
    for name in reversed(list(nx.topological_sort(graph))):
        rest = max((left[other] for other in graph.successors(name)), default=0.0)
        left[name] = on_worker[name] + after[name] + rest
    missing = {name: graph.in_degree(name) for name in graph}
    ready = [name for name in graph if not missing[name]]
    events: list[tuple[float, str, bool]] = []  # time, stage, and whether the coordinator has served it too
    now = served = 0.0
    running = 0
    while ready or events:
        ready.sort(key=left.__getitem__)
        while ready and running < workers:
            name = ready.pop()
            heapq.heappush(events, (now + on_worker[name], name, False))
            running += 1
        now, name, done = heapq.heappop(events)
        if not done:
            served = max(now, served) + after[name]
            heapq.heappush(events, (served, name, True))
            continue
        running -= 1
        for other in graph.successors(name):
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    return now


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


def predicted(run: dict[str, Any], costs: Costs, graph: nx.DiGraph, workers: int) -> float:
    """Return how long the stages of `run` take on `workers` workers, without the start of the cluster."""
    moved, stages = run["exchanged"], run["stages"]
    on_worker = {name: stage["seconds"] + costs.worker.of(*moved[name]) for name, stage in stages.items()}
    after = {name: costs.coordinator.of(*moved[name]) for name in stages}
    return wall_time(graph.subgraph(stages), on_worker, after, workers)


def main() -> None:
    """Fit, check, print and write the results."""
    runs = {size: benchmarks.read(f"scaling_{size}")["cluster"] for size in (*FITTED, *CHECKED)}
    costs = fit([runs[size] for size in FITTED])
    graph = graph_of(yaml.safe_load(subprocess.check_output(["git", "show", "HEAD:dvc.lock"])))
    start = max(0.0, statistics.mean(runs[size]["seconds"] - predicted(runs[size], costs, graph, 2) for size in FITTED))
    results: dict[str, Any] = {part: cost._asdict() for part, cost in costs._asdict().items()}
    results |= {"start": round(start, 1), "sizes": {}}
    for size, run in runs.items():
        expected = sum(cost.of(*run["exchanged"][name]) for name in run["stages"] for cost in costs)
        results["sizes"][size] = {
            "overhead": round(sum(map(sum, overheads(run).values())), 1),
            "predicted_overhead": round(expected, 1),
            "seconds": run["seconds"],
            "predicted_seconds": {str(n): round(start + predicted(run, costs, graph, n), 1) for n in WORKERS},
        }
    per_image = seconds_per_image(benchmarks.read("copies"))
    hours = {name: round(seconds * MANY / 3600, 1) for name, seconds in per_image.items()}
    results["many"] = {"images": MANY, "gigabytes": MANY * BYTES / 1e9, "hours": hours}
    print(json.dumps(results, indent=2))
    benchmarks.write("cost", results)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.cost")
