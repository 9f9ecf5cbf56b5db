"""Which networks make the best ensemble: equal ones with other seeds, or different ones.

    python -m benchmarks.members cnn -S "models.cnn.kernel_sizes=[5]" -S variant=deskewed

For each split of the training and validation images, a model is trained several times without and several times with
each change; changes are as in `benchmarks.search`, and so is `--baseline`, a change of all trainings. Errors on the
10,000 images that the split holds out are counted of the mean logits of `--members` networks: all without a change, all
with one, half and half, and all kinds in turns. They are means over random selections of so many networks, and compared
between mixtures on the same split. Each training has one thread, and as many run at once as there are cores. The test
images are not read. Probabilities of finished trainings are kept in a folder: the benchmark may be interrupted and goes
on from there.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("benchmarks.members")

import argparse
import itertools
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import benchmarks
from benchmarks import search
from digits.errors import InputError

SELECTIONS = 100  # random selections of networks for a mixture
MIN_PROBABILITY = 1e-9  # before the logarithm


def mixtures(changes: Sequence[str], members: int) -> dict[str, dict[str, int]]:
    """Return, by name, how many networks with each change an ensemble has; "" is no change."""
    half = members // 2
    found = {"without changes": {search.BASELINE: members}}
    for change in changes:
        found[f"all with {change}"] = {change: members}
        found[f"half with {change}"] = {search.BASELINE: members - half, change: half}
    if len(changes) > 1:
        kinds = itertools.islice(itertools.cycle([search.BASELINE, *changes]), members)
        counts: dict[str, int] = {}
        for kind in kinds:
            counts[kind] = counts.get(kind, 0) + 1
        found["all kinds in turns"] = counts
    return found


def errors(
    logits: Mapping[str, np.ndarray], labels: np.ndarray, counts: Mapping[str, int], rng: np.random.Generator
) -> float:
    """Return the errors of the mean logits of a mixture, of 10,000 images: the mean over random selections.

    Args:
        logits: of the networks with each change, (networks, n, classes).
        labels: (n,).
        counts: how many networks with each change to select.
    """
    wrong = []
    for _ in range(SELECTIONS):
        chosen = [
            logits[change][number]
            for change, count in counts.items()
            for number in rng.permutation(len(logits[change]))[:count]
        ]
        wrong.append((np.mean(chosen, axis=0).argmax(axis=1) != labels).mean())
    return 10_000 * float(np.mean(wrong))


def summarise(found: Mapping[str, Sequence[float]]) -> dict[str, dict[str, Any]]:
    """Return, for each mixture, its mean errors over splits and their difference to those without changes, with its
    standard error.

    Args:
        found: errors for each split.
    """
    reference = found["without changes"]
    rows: dict[str, dict[str, Any]] = {}
    for name, values in found.items():
        differences = [value - other for value, other in zip(values, reference, strict=True)]
        spread = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else float("nan")
        rows[name] = {
            "errors": round(statistics.mean(values), 2),
            "difference": round(statistics.mean(differences), 2),
            "standard_error": round(spread, 2),
            "splits": len(values),
        }
    return rows


def file_of(folder: Path, name: str, change: str, split: int, number: int) -> Path:
    """Return where the probabilities of a network on the held-out images are kept."""
    return folder / f"{search.fingerprint()}-{search.setting(name, change)}-{split}-{number}.npz"


def train(name: str, change: str, split: int, number: int, folder: Path) -> None:
    """Train a network in a process of its own, unless that is done.

    Raises:
        InputError: the training failed.
    """
    if file_of(folder, name, change, split, number).exists():
        return
    command = [sys.executable, "-m", "benchmarks.members", name, "-S", change, "--keep", str(folder)]
    if subprocess.run([*command, "--once", str(split), str(number)], check=False).returncode:
        raise InputError(f"the training with {change or 'no change'!r} failed, see above.")


def main(*arguments: str) -> None:
    """Train the networks, print and write the errors of the mixtures.

    Raises:
        InputError: no such model or parameter, or a training failed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.members", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model or preset of params.yaml")
    parser.add_argument("-S", dest="changes", action="append", required=True, metavar="CHANGE")
    parser.add_argument("--baseline", default="", metavar="CHANGE", help="in all trainings; by default nothing")
    parser.add_argument("--members", type=int, default=4, help="networks in an ensemble")
    parser.add_argument("--splits", type=int, default=4, help="selections of held-out images")
    parser.add_argument("--keep", type=Path, default=Path("benchmarks/kept"), metavar="FOLDER")
    parser.add_argument("--once", type=int, nargs=2, help=argparse.SUPPRESS)
    how = parser.parse_args(arguments)
    how.keep.mkdir(parents=True, exist_ok=True)
    if how.once:
        split, number = how.once
        probabilities, labels, _ = search.predict(how.model, how.changes[0], split, 1000 * split + number)
        one = np.log(np.maximum(probabilities, MIN_PROBABILITY)).astype(np.float32)
        np.savez(file_of(how.keep, how.model, how.changes[0], split, number), logits=one, labels=labels)
        return
    whole = {change: f"{how.baseline} {change}".strip() for change in (search.BASELINE, *how.changes)}
    jobs = [
        (how.model, whole[change], split, number, how.keep)
        for split in range(1, how.splits + 1)
        for number in range(how.members)
        for change in whole
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda job: train(*job), jobs))
    found: dict[str, list[float]] = {}
    for split in range(1, how.splits + 1):
        logits: dict[str, np.ndarray] = {}
        labels = np.empty(0)
        for change in whole:
            files = [file_of(how.keep, how.model, whole[change], split, number) for number in range(how.members)]
            stored = [np.load(file) for file in files]
            logits[change], labels = np.stack([file["logits"] for file in stored]), stored[0]["labels"]
        for mixture, counts in mixtures(how.changes, how.members).items():
            found.setdefault(mixture, []).append(errors(logits, labels, counts, np.random.default_rng(0)))
        singles = {change: errors(logits, labels, {change: 1}, np.random.default_rng(0)) for change in logits}
        for change, value in singles.items():
            found.setdefault(f"one network, {change or 'without changes'}", []).append(value)
    results = benchmarks.read("members")
    title = f"{how.members} {how.model} {how.baseline}".strip()
    results[title] = summarise(found)
    for mixture, row in results[title].items():
        print(f"{mixture}: {row['errors']} errors, {row['difference']:+} ± {row['standard_error']}")
    benchmarks.write("members", results)
