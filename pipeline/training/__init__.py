"""How a model learns and leaves as ONNX: `estimators` for scikit-learn, `networks` for torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from pipeline.datasets.arrays import LabelledImages
from pipeline.params import Params


@dataclass(frozen=True)
class Run:
    """What a model learns from, and where traces of its learning go.

    Attributes:
        name: of the model in params.yaml.
        train, validation: the test images are not here.
        mean, std: of the train pixels, scaled to [0, 1].
        settings: all of params.yaml.
        curves: folder for DVCLive's curves.
        checkpoints: folder that outlives an interrupted run; what is in it fits this code, data and parameters.
    """

    name: str
    train: LabelledImages
    validation: LabelledImages
    mean: float
    std: float
    settings: Params
    curves: Path
    checkpoints: Path


@dataclass(frozen=True)
class Fitted:
    """A model that has learned.

    Attributes:
        probabilities: returns (n, 10) for images, as the ONNX file will.
        export: returns the model as ONNX, from `images` to `probabilities`; takes seconds.
        facts: for its model.json.
    """

    probabilities: Callable[[LabelledImages], np.ndarray]
    export: Callable[[], onnx.ModelProto]
    facts: dict[str, Any]
