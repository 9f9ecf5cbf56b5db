"""Stage `train_canonicalizer`: train the denoiser and write the canonicalizer, the first part of every model, to
models/canonicalizer.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.train_canonicalizer")

from pathlib import Path

import torch

from pipeline import json_file, params, runtime
from pipeline.datasets import arrays
from pipeline.robustness import denoiser

FOLDER = Path("models/canonicalizer")


def main() -> None:
    """Read data/prepared and data/outliers, write models/canonicalizer."""
    settings = params.load()
    if not json_file.read(arrays.METADATA)["digits"]:
        arrays.leave_out("canonicalizer", FOLDER)
        return
    train, validation = arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION)
    outliers = arrays.load_unlabelled(arrays.OUTLIERS / "drawn")
    torch.set_num_threads(settings.runtime.threads)
    runtime.seed(settings.seed)
    fitted = denoiser.fit(train, outliers, validation.images, settings.canonicalizer)
    fitted.save(FOLDER)
    print(f"{FOLDER}: trained on {len(train):,} digits and {len(outliers):,} outliers")
