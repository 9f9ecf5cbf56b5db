"""Stage `generate_outliers`: draw images that are not digits, to data/outliers, and drop those that resemble a digit.

The OOD detector is trained on the folders drawn and modified; its temperature is fitted to validation, which has both.
The canonicalizer is trained on drawn only: modified digits (cut, crossed out, mirrored, in pairs) look corrupted.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.generate_outliers")

from pathlib import Path

import numpy as np

from pipeline import json_file, params
from pipeline.datasets import arrays
from pipeline.ood import outliers
from pipeline.ood.lookalikes import Lookalikes
from pipeline.reporting import plots
from pipeline.training import stroke_digits

SAMPLES = Path("plots/outliers/samples.png")
SHOWN = 150  # outliers in the picture
COMPARED = 12_000  # digits that outliers are compared with


def main() -> None:
    """Read data/prepared, write data/outliers and a picture of samples."""
    settings = params.load()
    if not json_file.read(arrays.METADATA)["digits"]:
        arrays.leave_out("OOD detection", arrays.OUTLIERS, SAMPLES.parent)
        return
    train, validation = arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION)
    policy = settings.policy(settings.ood.detector.augmentation, "ood.detector.augmentation")
    digits = stroke_digits.add(train, policy.stroke_digits, settings.seed).images
    rows = np.random.default_rng(settings.seed).permutation(len(digits))[:COMPARED]
    resemble = Lookalikes(digits[rows], validation.images)
    total = settings.ood.outliers
    kinds = {
        "drawn": [kind for kind in outliers.KINDS if kind not in outliers.MODIFIED],
        "modified": list(outliers.MODIFIED),
    }
    weights = {part: sum(outliers.WEIGHTS[kind] for kind in names) for part, names in kinds.items()}
    for part, names in kinds.items():
        count = round(total * weights[part] / sum(weights.values()))
        found = outliers.generate(count, train.images, train.labels, settings.seed, names)
        kept = found[~resemble(found)]
        print(f"{arrays.OUTLIERS / part}: {len(kept):,} of {len(found):,} outliers resemble no digit")
        arrays.save_unlabelled(kept, arrays.OUTLIERS / part)
    other = outliers.generate(total // 10, validation.images, validation.labels, settings.seed + 1)
    other = other[~resemble(other)]
    arrays.save_unlabelled(other, arrays.OUTLIERS / "validation")
    shown = other[:SHOWN]
    plots.save(plots.gallery(shown, [""] * len(shown), "Generated outliers"), SAMPLES)
    print(f"{arrays.OUTLIERS / 'validation'}: {len(other):,} outliers")
