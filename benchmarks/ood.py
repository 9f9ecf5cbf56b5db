"""The OOD detector beside baselines: `[EXTERNAL=folder] python -m benchmarks.ood`.

Each method scores an image of models/cnn; low scores are rejected. All thresholds reject the same fraction of the
validation digits, `ood.max_false_rejection_rate`. Outliers are those of data/outliers/validation and, in the folder
EXTERNAL, the datasets without digits that docs/external.md describes.

- digitness: the OOD detector
- max_probability: maximum softmax probability (Hendrycks and Gimpel, 2017)
- energy: logsumexp of the logits (Liu et al., 2020)
- mahalanobis: distance of the features from the nearest class mean (Lee et al., 2018)
- knn: distance of the normalised features from the 50th nearest training digit (Sun et al., 2022)
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("benchmarks.ood")

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import benchmarks
from benchmarks.external.__main__ import sources
from benchmarks.external.measure import evenly_spaced, like_mnist
from digits.interface import DIGITNESS, INPUT, PROBABILITIES
from pipeline import params
from pipeline.datasets import arrays
from pipeline.scoring.rounding import rounded

MODEL = Path("models/cnn/model.onnx")
TRAIN = 10_000  # training digits to which the baselines are fitted
LIMIT = 2_000  # images of each outlier dataset
NEIGHBOUR = 50
TPR = 0.95
BATCH = 500

Score = Callable[["Outputs"], np.ndarray]  # (n,) float, larger for digits


@dataclass(frozen=True)
class Outputs:
    """What the model computes for n images: logits (n, 10), features (n, k), digitness (n,)."""

    logits: np.ndarray
    features: np.ndarray
    digitness: np.ndarray


class Model:
    """models/cnn with its logits and features as further outputs."""

    def __init__(self, path: Path, threads: int) -> None:
        model = onnx.load(path)
        makers = {name: node for node in model.graph.node for name in node.output}
        logits = makers[PROBABILITIES].input[0]  # of the softmax
        node = makers[logits]
        while node.op_type != "Gemm":  # the last linear layer; after it test-time augmentation and temperature
            node = makers[node.input[0]]
        self.names = [logits, node.input[0], DIGITNESS]
        for name in self.names[:2]:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, images: np.ndarray) -> Outputs:
        """Return the outputs for `images`, (n, 28, 28) uint8 or float32 in [0, 1]."""
        found = []
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH, None]
            scaled = np.divide(batch, 255, dtype=np.float32) if batch.dtype == np.uint8 else batch
            logits, features, digitness = self.session.run(self.names, {INPUT: scaled})
            found.append((logits, features.reshape(-1, len(batch), features.shape[1]).mean(axis=0), digitness))
        return Outputs(*(np.concatenate(part).astype(np.float64) for part in zip(*found, strict=True)))


def methods(train: Outputs, labels: np.ndarray) -> dict[str, Score]:
    """Return the methods, fitted to the outputs of training digits with `labels` (n,)."""
    means = np.stack([train.features[labels == digit].mean(axis=0) for digit in range(10)])
    centred = train.features - means[labels]
    precision = np.linalg.pinv(centred.T @ centred / len(centred), rcond=1e-6)
    neighbours = NearestNeighbors(n_neighbors=NEIGHBOUR).fit(_normalised(train.features))

    def mahalanobis(found: Outputs) -> np.ndarray:
        distances = [np.einsum("ij,jk,ik->i", d, precision, d) for d in (found.features - mean for mean in means)]
        return -np.min(distances, axis=0)

    return {
        "digitness": lambda found: found.digitness,
        "max_probability": lambda found: (
            -np.logaddexp.reduce(
                np.sort(found.logits, axis=1)[:, :-1] - found.logits.max(axis=1, keepdims=True), axis=1
            )
        ),  # the log-odds of the maximum, which do not saturate
        "energy": lambda found: logsumexp(found.logits, axis=1),
        "mahalanobis": mahalanobis,
        "knn": lambda found: -neighbours.kneighbors(_normalised(found.features))[0][:, -1],
    }


def _normalised(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def outlier_sets() -> dict[str, np.ndarray]:
    """Return images without digits by dataset, (n, 28, 28) uint8 or float32, bright ink on dark."""
    found: dict[str, np.ndarray] = {"generated": arrays.load_unlabelled(arrays.OUTLIERS / "validation")}
    folder = Path(os.environ["EXTERNAL"]).expanduser() if "EXTERNAL" in os.environ else None
    for name, record, path in sources(folder):
        if record.content in ("outliers", "letters"):
            images = record.decode(path)
            grey = [images.grey(row) for row in evenly_spaced(len(images), LIMIT)]
            symbols = grey if record.ink == "bright" else [1 - image for image in grey]
            found[f"{name} {path.name}"] = np.stack(symbols if record.like_mnist else list(map(like_mnist, symbols)))
    return found


def main() -> None:
    """Measure all methods on all sets of outliers, print and write the results."""
    settings = params.load()
    model = Model(MODEL, settings.runtime.threads)
    train, validation, test = (arrays.load(folder) for folder in (arrays.TRAIN, arrays.VALIDATION, arrays.TEST))
    fitted = methods(model(train.images[:TRAIN]), train.labels[:TRAIN])
    of_validation, of_test = model(validation.images), model(test.images)
    sets = {name: model(images) for name, images in outlier_sets().items()}
    rows = []
    for method, score in fitted.items():
        threshold = np.quantile(score(of_validation), settings.ood.max_false_rejection_rate, method="lower")
        digits = score(of_test)
        at_tpr = np.quantile(digits, 1 - TPR, method="lower")
        false_rejections = rounded((digits < threshold).mean())
        for name, outputs in sets.items():
            outliers = score(outputs)
            labels = np.repeat([1, 0], [len(digits), len(outliers)])
            row = {
                "method": method,
                "outliers": name,
                "images": len(outliers),
                "auroc": rounded(roc_auc_score(labels, np.concatenate([digits, outliers]))),
                "false_positive_rate_at_95_tpr": rounded((outliers >= at_tpr).mean()),
                "rejected": rounded((outliers < threshold).mean()),
                "test_false_rejection_rate": false_rejections,
            }
            rows.append(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()))
    benchmarks.write("ood", rows)
