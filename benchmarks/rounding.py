"""Whether scores depend on the last bits of ONNX Runtime: `python -m benchmarks.rounding`.

ONNX Runtime selects its kernels by processor and cannot be restricted, so the last bits of probabilities vary. Scores
are rounded; this module counts the values in the files of the stage `evaluate`, and rejection thresholds, that change
all the same

- with the kernels that ONNX Runtime uses without optimising the graph, which sum in another order;
- with random deviations of probabilities and digitness;
- with `--compare FILE`, with the outputs that `--save FILE` has written on another processor.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("benchmarks.rounding")

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import benchmarks
from digits.model import Classifier
from pipeline import params
from pipeline.datasets import arrays
from pipeline.evaluate import evaluate, on_corrupted
from pipeline.ood.acceptance import fit_acceptance

DEVIATIONS = (1e-6, 1e-5, 1e-4)  # standard deviations of the change of a log probability and of the logit of digitness
REPEATS = 3  # of each

Output = Sequence[np.ndarray]  # probabilities and digitness of a batch


class Recorder:
    """A session of ONNX Runtime that keeps its outputs."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session, self.outputs = session, list[Output]()
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, *arguments: Any) -> Output:
        """Return what the session returns."""
        self.outputs.append(self.session.run(*arguments))
        return self.outputs[-1]


class Player:
    """Returns given `outputs` in place of `session`, in the order of its calls."""

    def __init__(self, session: onnxruntime.InferenceSession, outputs: Sequence[Output]) -> None:
        self.outputs = iter(outputs)
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, *_: Any) -> Output:
        """Return the next outputs."""
        return next(self.outputs)


def measure(classifier: Classifier, session: Any, max_false_rejection_rate: float) -> dict[str, Any]:
    """Return all values that depend on the outputs of `session`: predictions, scores on validation, test and corrupted
    images, and the rejection threshold.
    """
    classifier = replace(classifier, session=session)
    values = {**evaluate(classifier, classifier), "cells": on_corrupted(classifier)}
    probabilities = values.pop("probabilities")
    _, digitness = classifier.infer(arrays.load(arrays.VALIDATION).scaled())
    acceptance = fit_acceptance(digitness, max_false_rejection_rate=max_false_rejection_rate)
    return values | {"predicted": probabilities.argmax(axis=1).tolist(), "acceptance": asdict(acceptance)}


def changed(before: Any, after: Any) -> int:
    """Return the number of different values at the same places of two JSON trees."""
    if isinstance(before, dict) and before.keys() == after.keys():
        return sum(changed(before[key], after[key]) for key in before)
    if isinstance(before, list) and len(before) == len(after):
        return sum(map(changed, before, after))
    return int(before != after)


def count(tree: Any) -> int:
    """Return the number of values in a JSON tree."""
    if isinstance(tree, dict | list):
        return sum(map(count, tree.values() if isinstance(tree, dict) else tree))
    return 1


def deviate(outputs: Sequence[Output], deviation: float, seed: int) -> list[Output]:
    """Return `outputs` with normal deviations of log probabilities and of the logit of digitness."""
    rng = np.random.default_rng(seed)
    found: list[Output] = []
    for probabilities, digitness in outputs:
        odds = probabilities * np.exp(deviation * rng.standard_normal(probabilities.shape))
        certain = digitness.astype(np.float64)
        change = np.exp(deviation * rng.standard_normal(len(digitness)))  # of the odds
        moved = certain * change / (1 - certain + certain * change)
        found.append([each.astype(np.float32) for each in (odds / odds.sum(axis=1, keepdims=True), moved)])
    return found


def largest_difference(first: Sequence[Output], second: Sequence[Output]) -> dict[str, float]:
    """Return the largest absolute difference of probabilities and of digitness, to two digits."""
    return {
        name: float(f"{max(np.abs(a[part] - b[part]).max() for a, b in zip(first, second, strict=True)):.1e}")
        for part, name in enumerate(("probability", "digitness"))
    }


def unoptimised(folder: Path, threads: int) -> onnxruntime.InferenceSession:
    """Return a session of the model in `folder` whose graph is not optimised."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = (folder / "model.onnx").read_bytes()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def main(*arguments: str) -> None:
    """Measure models in models/, print, and write benchmarks/results/rounding.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rounding", description=(__doc__ or "").split(":")[0])
    parser.add_argument("models", nargs="*", help="all models of params.yaml by default")
    parser.add_argument("--save", type=Path, help="only write all outputs to this .npz file")
    parser.add_argument("--compare", type=Path, help="outputs of the same models on another processor")
    options = parser.parse_args(arguments)
    settings = params.load()
    saved: dict[str, np.ndarray] = {}
    known = np.load(options.compare) if options.compare else {}
    results: dict[str, Any] = {}
    for name in options.models or settings.models:
        folder = Path("models") / name
        classifier = Classifier.load(folder, settings.runtime.threads)
        values_of = partial(measure, classifier, max_false_rejection_rate=settings.ood.max_false_rejection_rate)
        here, other = Recorder(classifier.session), Recorder(unoptimised(folder, settings.runtime.threads))
        values = values_of(here)
        keys = [[f"{name} {number} {part}" for part in (0, 1)] for number in range(len(here.outputs))]
        if options.save:
            for pair, output in zip(keys, here.outputs, strict=True):
                saved |= zip(pair, output, strict=True)
            continue
        results[name] = {"values": count(values)}
        compared: dict[str, tuple[int, Sequence[Output]]] = {
            "not optimised": (changed(values, values_of(other)), other.outputs)
        }
        if known:
            others = [[known[key] for key in pair] for pair in keys]
            compared["other processor"] = (changed(values, values_of(Player(classifier.session, others))), others)
        for case, (number, outputs) in compared.items():
            results[name][case] = {"changed": number, "largest difference": largest_difference(here.outputs, outputs)}
        for size in DEVIATIONS:
            moved = [
                values_of(Player(classifier.session, deviate(here.outputs, size, seed))) for seed in range(REPEATS)
            ]
            results[name][f"deviation {size:g}"] = {"changed": [changed(values, each) for each in moved]}
        print(name, results[name])
    if options.save:
        np.savez(options.save, **saved)  # type: ignore[arg-type]  # its stub takes a flag by keyword too
    else:
        benchmarks.write("rounding", results)
