"""How a model is fitted: `estimators` for scikit-learn, `networks` for PyTorch."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from pipeline.datasets.arrays import LabelledImages
from pipeline.params import Augmentation


@dataclass(frozen=True)
class TrainingContext:
    """What a model is fitted to, and where traces of its training go.

    Attributes:
        name: of the model in params.yaml.
        train, validation: the data; the test images are not here.
        classes: the number of classes.
        mean, std: of the pixels of the prepared training images, scaled to [0, 1].
        augmentation: applied to every batch of a network; None if the training set is augmented already.
        seed: of every random number.
        threads: number of CPU threads.
        curves: folder for DVCLive's learning curves.
        checkpoints: folder that outlives an interrupted run; its content fits this code, data and parameters.
    """

    name: str
    train: LabelledImages
    validation: LabelledImages
    classes: int
    mean: float
    std: float
    augmentation: Augmentation | None
    seed: int
    threads: int
    curves: Path
    checkpoints: Path


@dataclass(frozen=True)
class FittedModel:
    """A fitted model.

    Attributes:
        predict_proba: returns (n, classes) for images, as the ONNX file will.
        export: returns the model as ONNX, from `images` to `probabilities`; takes seconds.
        metadata: for its model.json.
        export_before_refit: the same for the model before it was fitted to the validation images too, by which it is
            validated; None if they are held out.
    """

    predict_proba: Callable[[LabelledImages], np.ndarray]
    export: Callable[[], onnx.ModelProto]
    metadata: dict[str, Any]
    export_before_refit: Callable[[], onnx.ModelProto] | None = None


@contextmanager
def temporary_context(**values: Any) -> Iterator[TrainingContext]:
    """Yield a TrainingContext of `values` whose curves and checkpoints are in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix=f"{values['name']}-") as folder:
        yield TrainingContext(**values, curves=Path(folder) / "curves", checkpoints=Path(folder) / "checkpoints")
