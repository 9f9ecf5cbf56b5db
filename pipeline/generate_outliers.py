"""Stage `generate_outliers`: draw images that are not digits, to data/outliers.

The OOD detector is trained on the folders drawn and modified; its temperature is fitted to validation, which has both.
The canonicalizer is trained on drawn only: modified digits (cut, crossed out, mirrored, in pairs) look corrupted.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.generate_outliers")

from pathlib import Path

from pipeline import params
from pipeline.datasets import arrays
from pipeline.ood import outliers
from pipeline.reporting import plots

SAMPLES = Path("plots/outliers/samples.png")
SHOWN = 150  # outliers in the picture


def main() -> None:
    """Read data/prepared, write data/outliers and a picture of samples."""
    settings = params.load()
    train, validation = arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION)
    total = settings.ood.outliers
    kinds = {
        "drawn": [kind for kind in outliers.KINDS if kind not in outliers.MODIFIED],
        "modified": list(outliers.MODIFIED),
    }
    weights = {part: sum(outliers.WEIGHTS[kind] for kind in names) for part, names in kinds.items()}
    for part, names in kinds.items():
        count = round(total * weights[part] / sum(weights.values()))
        found = outliers.generate(count, train.images, train.labels, settings.seed, names)
        arrays.save_unlabelled(found, arrays.OUTLIERS / part)
    other = outliers.generate(total // 10, validation.images, validation.labels, settings.seed + 1)
    arrays.save_unlabelled(other, arrays.OUTLIERS / "validation")
    shown = other[:SHOWN]
    plots.save(plots.gallery(shown, [""] * len(shown), "Generated outliers"), SAMPLES)
    print(f"{arrays.OUTLIERS}: {total:,} outliers to train on, {len(other):,} for validation")
