"""Stage `train_canonicalizer`: train the denoiser and write the canonicalizer, the first part of every model, to
models/canonicalizer.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.train_canonicalizer")

from pathlib import Path

import torch

from pipeline import params, runtime
from pipeline.datasets import arrays
from pipeline.robustness import denoiser
from pipeline.training import stroke_digits
from pipeline.training.redraw import redraw

FOLDER = Path("models/canonicalizer")
OTHER_STROKES = 0.15  # digits from stroke models, and digits drawn anew, that are added per training image


def main() -> None:
    """Read data/prepared and data/outliers, write models/canonicalizer."""
    settings = params.load()
    train, validation = arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION)
    outliers = arrays.load_unlabelled(arrays.OUTLIERS / "train")
    torch.set_num_threads(settings.runtime.threads)
    runtime.seed(settings.seed)
    drawn = stroke_digits.add(train, OTHER_STROKES, settings.seed)
    train = arrays.joined(drawn, redraw(train, OTHER_STROKES, settings.seed))
    fitted = denoiser.fit(train, outliers, validation.images, settings.canonicalizer)
    fitted.save(FOLDER)
    print(f"{FOLDER}: trained on {len(train):,} digits and {len(outliers):,} outliers")
