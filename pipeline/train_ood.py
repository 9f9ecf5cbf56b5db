"""Stage `train_ood`: train the OOD detector, which tells digits from everything else, and write it to
models/ood_detector. As in the packaged model, its inputs are canonicalized images; MNIST's digits are so already.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.train_ood")

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from pipeline import json_file, params, runtime
from pipeline.datasets import arrays
from pipeline.onnx_graph.write import write_onnx
from pipeline.ood import detector, outliers
from pipeline.robustness.canonicalize import canonicalize
from pipeline.scoring.rounding import rounded

FOLDER = Path("models/ood_detector")


def main() -> None:
    """Read data/prepared, write models/ood_detector."""
    settings = params.load()
    how = settings.ood.detector
    policy = settings.policy(how.augmentation, "ood.detector.augmentation")
    train, validation = arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION)
    generated = canonicalize(outliers.generate(how.outliers, train.images, train.labels, settings.seed))
    count = max(70, how.outliers // 10)
    held_out = canonicalize(outliers.generate(count, validation.images, validation.labels, settings.seed + 1))
    runtime.seed(settings.seed)
    fitted = detector.fit(train.images, generated, (validation.images, held_out), how, policy)
    is_digit = np.repeat([1, 0], [len(part) for part in fitted.digitness])
    auroc = rounded(roc_auc_score(is_digit, np.concatenate(fitted.digitness)))
    written = write_onnx(FOLDER / "detector.onnx", fitted.model)
    json_file.write(FOLDER / "detector.json", {**fitted.metadata, "held_out_auroc": auroc, **written})
    print(f"{FOLDER}: AUROC {auroc:.4f} on {len(validation):,} validation digits and {count:,} generated outliers")
