"""Stage `generate_outliers`: draw images that are not digits, to data/outliers. The canonicalizer and the OOD detector
are trained on those in data/outliers/train.
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
    counts = {"train": settings.ood.outliers, "validation": max(70, settings.ood.outliers // 10)}
    for number, (split, folder) in enumerate({"train": arrays.TRAIN, "validation": arrays.VALIDATION}.items()):
        digits = arrays.load(folder)
        found = outliers.generate(counts[split], digits.images, digits.labels, settings.seed + number)
        arrays.save_unlabelled(found, arrays.OUTLIERS / split)
        if split == "train":
            shown = found[:SHOWN]
            plots.save(plots.gallery(shown, [""] * len(shown), "Generated outliers"), SAMPLES)
    print(f"{arrays.OUTLIERS}: {counts['train']:,} outliers to train on, {counts['validation']:,} for validation")
