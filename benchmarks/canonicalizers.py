"""Ways to be robust to corruption, side by side: `python -m benchmarks.canonicalizers`.

- none: models/classifiers/cnn as it is
- augmentation: the same network, trained for as many epochs on random corruptions of the training images instead
- canonicalizer: as shipped, a denoiser restores images that it takes for corrupted, before the network sees them

Accuracy on validation images, clean and with each corruption of the development suite at each severity. Rejection plays
no part here. The second way is trained anew, which takes minutes.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("benchmarks.canonicalizers")

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch.nn.functional import cross_entropy

import benchmarks
from digits.interface import INPUT, PROBABILITIES
from pipeline import params, runtime
from pipeline.classifiers import model_config
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import DIGIT, to_onnx
from pipeline.robustness import denoiser
from pipeline.robustness.canonicalize import apply
from pipeline.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from pipeline.robustness.random_corruptions import corrupt_batch, move_batch
from pipeline.scoring.rounding import rounded
from pipeline.training.ensemble import Ensemble, Standardise
from pipeline.training.optimizer import minimise

IMAGES = 500  # validation images, each with every corruption and severity
CORRUPTED = 0.7  # fraction of a training batch that is corrupted

Infer = Callable[[np.ndarray], np.ndarray]  # images (n, 28, 28) uint8 to probabilities (n, 10)


def trained_on_corruptions(train: LabelledImages, settings: params.Params, threads: int) -> onnx.ModelProto:
    """Return models.cnn of params.yaml, trained for as many epochs on randomly moved and corrupted images."""
    config = model_config("cnn", settings)
    how = config.hyperparameters
    network = torch.nn.Sequential(Standardise(*train.mean_and_std()), config.build(DIGIT, 10))
    size = how["batch_size"]

    def loss() -> torch.Tensor:
        rows = torch.randint(len(train), (size,)).numpy()
        images = move_batch(torch.from_numpy(train.images[rows])[:, None].float() / 255)
        corrupted = torch.where(torch.rand(size, 1, 1, 1) < CORRUPTED, corrupt_batch(images), images)
        labels = torch.from_numpy(train.labels[rows].astype(np.int64))
        return cross_entropy(network(corrupted), labels, label_smoothing=how["label_smoothing"])

    steps = how["epochs"] * len(train) // size
    torch.set_num_threads(threads)
    minimise(network, loss, steps=steps, lr=how["lr"], weight_decay=how["weight_decay"], description="augmentation")
    averaged = Ensemble([network], tta=how["tta"])
    return to_onnx(torch.nn.Sequential(averaged, torch.nn.Softmax(dim=1)), PROBABILITIES)


def accuracy(infer: Infer, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the fraction of `images` (n, 28, 28) uint8 that are classified correctly."""
    return float((infer(images).argmax(axis=1) == labels).mean())


def measure(infer: Infer, validation: LabelledImages, seed: int) -> dict[str, float | str | int]:
    """Return clean accuracy, the mean over all corruptions and severities, and the worst of these."""
    some = validation.first(IMAGES)
    cells = {
        (name, severity): accuracy(infer, corrupt(corruption, some.images, severity, seed), some.labels)
        for name, corruption in CORRUPTIONS.items()
        for severity in SEVERITIES
    }
    worst = min(cells, key=lambda cell: cells[cell])
    return {
        "clean_accuracy": rounded(accuracy(infer, validation.images, validation.labels)),
        "corrupted_accuracy": rounded(sum(cells.values()) / len(cells)),
        "worst": rounded(cells[worst]),
        "worst_corruption": f"{worst[0]} {worst[1]}",
        "n": len(some) * len(cells),
    }


def main() -> None:
    """Measure the three ways, print and write the results."""
    settings = params.load()
    threads = settings.runtime.threads
    classifier = onnx.load(Path("models/classifiers/cnn/classifier.onnx"))
    canonicalizer = denoiser.load(Path("models/canonicalizer"))
    train, validation = arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION)
    runtime.seed(settings.seed)
    trained = trained_on_corruptions(train, settings, threads)
    ways: dict[str, Infer] = {
        "none": lambda images: infer(classifier, images, threads),
        "augmentation": lambda images: infer(trained, images, threads),
        "canonicalizer": lambda images: infer(classifier, apply(canonicalizer, images), threads),
    }
    results = []
    for name, way in ways.items():
        results.append({"approach": name, **measure(way, validation, settings.seed)})
        print(results[-1])
    benchmarks.write("canonicalizers", results)


def infer(model: onnx.ModelProto, images: np.ndarray, threads: int) -> np.ndarray:
    """Return the probabilities (n, 10) that `model` gives for `images` (n, 28, 28) uint8."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    batches = np.array_split(np.divide(images[:, None], 255, dtype=np.float32), max(1, len(images) // 500))
    return np.concatenate([session.run([PROBABILITIES], {INPUT: batch})[0] for batch in batches])
