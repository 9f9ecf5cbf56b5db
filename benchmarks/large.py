"""Duration and memory of each stage on many large images in colour, in a fresh clone of the last commit:
`python -m benchmarks.large`.

The images are made: each class has a drawing of its own, which is moved, recoloured and covered with noise. Networks
are trained for EPOCHS epochs; memory does not depend on that.
"""

import argparse
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

import benchmarks
from benchmarks.stages import DVC, Stages, watch
from pipeline import params
from pipeline.datasets.folder import OWN

EPOCHS = 2
BLOBS = 6  # coloured spots of a drawing


def drawing(number: int, size: int) -> np.ndarray:
    """Return the drawing of a class, (size, size, 3) float32 in [0, 1]."""
    rng = np.random.default_rng([1, number])
    y, x = np.mgrid[:size, :size] / size
    image = np.zeros((size, size, 3), np.float32)
    for centre_x, centre_y, width, height in rng.uniform((0.2, 0.2, 0.03, 0.03), (0.8, 0.8, 0.12, 0.12), (BLOBS, 4)):
        spot = np.exp(-(((x - centre_x) / width) ** 2) - ((y - centre_y) / height) ** 2)
        image += spot[:, :, None] * rng.uniform(0, 1, 3)
    return image.clip(0, 1).astype(np.float32)


def make(folder: Path, images: int, classes: int, size: int) -> None:
    """Write `images` PNG files of size x size pixels to `folder`, in one folder per class."""
    drawings = [drawing(number, size) for number in range(classes)]
    for number in range(classes):
        (folder / f"class {number}").mkdir(parents=True)
    for number in track(range(images), "make images", transient=True):
        rng, label = np.random.default_rng([2, number]), number % classes
        moved = np.roll(drawings[label], tuple(rng.integers(-size // 8, size // 8, 2)), axis=(0, 1))
        noisy = moved * rng.uniform(0.4, 1, 3) + rng.uniform(0, 0.3, 3) + rng.normal(0, 0.05, moved.shape)
        pixels = (noisy.clip(0, 1) * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"class {label}" / f"{number}.png", compress_level=1)


def changes(size: int) -> list[str]:
    """Return the changes of params.yaml."""
    networks = [name for name, entry in params.load().models.items() if "epochs" in entry]
    return [
        *(
            "dataset=folder",
            "split.validation=0.1",
            "folder.color=rgb",
            f"folder.height={size}",
            f"folder.width={size}",
        ),
        *(f"models.{name}.epochs={EPOCHS}" for name in networks),
    ]


def main(*arguments: str) -> None:
    """Make the images, run the pipeline, print and write the results.

    Raises:
        InputError: a stage failed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("images", 100_000), ("classes", 47), ("size", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    how = parser.parse_args(arguments)
    stages: Stages = {}
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(stages, done), daemon=True)
    with tempfile.TemporaryDirectory(prefix="large-") as name:
        folder = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", ".", str(folder)], check=True)
        make(folder / OWN, how.images, how.classes, how.size)
        watcher.start()
        start = time.perf_counter()
        settings = [part for change in changes(how.size) for part in ("-S", change)]
        subprocess.run([DVC, "exp", "run", *settings], cwd=folder, check=True)
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    for stage, found in stages.items():
        print(f"{stage:<32}{found['seconds']:8.0f} s{found['peak_mb']:8.0f} MB{found['private_mb']:8.0f} MB private")
    benchmarks.write("large", {**vars(how), "seconds": round(seconds), "epochs": EPOCHS, "stages": stages})


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.large")
