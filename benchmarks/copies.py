"""Duration and memory of augmentation, training and evaluation with more and more stored copies of each image, in a
clone of the last commit: `python -m benchmarks.copies --copies 1 19` for 110,000 and 1.1 million images of MNIST, and
`python -m benchmarks.copies --copies 99 --models cnn_fast` for 5.5 million.

All models are fitted to the augmented training set. Stages whose outputs are in DVC's cache here are not run again.
Networks train one epoch, so that durations are proportional to the images.
"""

import argparse
import subprocess
import tempfile
import threading
from pathlib import Path

import benchmarks
from benchmarks.stages import DVC, Stages, watch
from pipeline import params

EPOCHS = 1


def changes(copies: int, models: list[str]) -> list[str]:
    """Return the changes of params.yaml."""
    found = [f"augment.copies={copies}"]
    for name in models:
        found += [f"models.{name}.training_set=augmented", f"models.{name}.augmentation={params.STORED_POLICY}"]
        found += [f"models.{name}.epochs={EPOCHS}"] if "epochs" in params.load().models[name] else []
    return found


def run(folder: Path, copies: int, models: list[str]) -> Stages:
    """Run the stages in the clone `folder`, and return their duration and memory."""
    stages: Stages = {}
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(stages, done), daemon=True)
    watcher.start()
    settings = [part for change in changes(copies, models) for part in ("-S", change)]
    targets = [f"evaluate@{name}" for name in models]
    subprocess.run([DVC, "exp", "run", *settings, *targets], cwd=folder, check=True)
    done.set()
    watcher.join()
    return stages


def main(*arguments: str) -> None:
    """Run the stages for each number of copies, print and write the results.

    Raises:
        InputError: a stage failed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 19], help="stored copies of each image")
    parser.add_argument("--models", nargs="+", default=list(params.load().models), help="by default all")
    how = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="copies-") as name:
        folder = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", ".", str(folder)], check=True)
        cache = Path(".dvc/cache").resolve()
        subprocess.run([DVC, "remote", "add", "--local", "--default", "here", str(cache)], cwd=folder, check=True)
        subprocess.run([DVC, "pull", "--quiet"], cwd=folder, check=True)
        results = {str(copies): run(folder, copies, how.models) for copies in how.copies}
    for copies, stages in results.items():
        print(f"{copies} copies")
        for stage, found in stages.items():
            print(
                f"  {stage:<30}{found['seconds']:8.1f} s{found['peak_mb']:8.0f} MB{found['private_mb']:8.0f} MB private"
            )
    benchmarks.write("copies", benchmarks.read("copies") | results)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.copies")
