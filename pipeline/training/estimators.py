"""scikit-learn: fit features of the images, on growing parts of them for a learning curve, and export both to ONNX.

Probabilities are calibrated, see `pipeline.training.calibration`: those of an estimator that has none (SVC) come from
its decision function, those of others from the logarithms of their own.
"""

import warnings
from functools import partial
from typing import Any, Literal

import numpy as np
import onnx
import skl2onnx
import torch
from dvclive.live import Live
from joblib import parallel_config
from onnx import TensorProto, helper
from onnx.compose import add_prefix, merge_models
from rich.console import Console
from scipy.special import softmax
from sklearn.base import clone
from torch import nn

from pipeline.artifact import OUTPUT
from pipeline.datasets.arrays import LabelledImages
from pipeline.errors import InputError
from pipeline.imaging.gradients import OrientedGradients
from pipeline.training import Fitted, Run
from pipeline.training.calibration import calibrate
from pipeline.training.export import OPSET, to_onnx

CURVE = (1 / 16, 1 / 4, 1)  # parts of the training images: the points of the learning curve
FEATURES: dict[str, nn.Module] = {"pixels": nn.Flatten(), "gradients": OrientedGradients()}
WIDTHS = {"pixels": 784, "gradients": 512}
OPSETS = {"": OPSET, "ai.onnx.ml": 3}
LEAST = 1e-6  # a probability has a logarithm from here on; trees say 0
MANY = 1_000  # images at a time, to bound memory


def fit(model: Any, run: Run, *, features: Literal["pixels", "gradients"]) -> Fitted:
    """Fit `model`, a scikit-learn pipeline that classifies rows of features, float32 (n, features).

    Args:
        features: what a row is: 784 pixels in [0, 1], or 512 oriented gradients, see `pipeline.imaging.gradients`.

    Raises:
        InputError: the hyperparameters do not suit the number of images.
    """
    live = Live(str(run.curves), save_dvc_exp=False, dvcyaml=None, report=None)
    labels = run.train.labels.astype(np.int64)  # what every converter of skl2onnx understands
    torch.set_num_threads(run.settings.runtime.threads)
    train, validation = rows(run.train, features), rows(run.validation, features)
    for part in CURVE:
        count = int(len(labels) * part)
        model = clone(model)
        try:
            with (
                Console(stderr=True).status(f"{run.name}: fitting on {count:,} images"),
                parallel_config(n_jobs=run.settings.runtime.threads),
            ):
                model.fit(train[:count], labels[:count])
        except ValueError as error:
            if part < 1:  # too few images for this model: no point on the curve
                continue
            raise InputError(f"{run.name}: scikit-learn cannot fit it to {count:,} images: {error}") from error
        with Console(stderr=True).status(f"{run.name}: scoring"):
            seen = min(count, len(validation))
            live.step = count
            live.log_metric("train/accuracy", _accuracy(model, train[:seen], labels[:seen]))
            live.log_metric("validation/accuracy", _accuracy(model, validation, run.validation.labels))
            live.sync()
    live.end()
    calibration = calibrate(scores(model, validation), run.validation.labels)
    how = (model, features, calibration.temperature)
    return Fitted(partial(probabilities, *how), partial(export, *how), calibration.facts())


def rows(images: LabelledImages, features: str) -> np.ndarray:
    """Return the `features` of the images as (n, features) float32."""
    found = np.empty((len(images), WIDTHS[features]), np.float32)
    with torch.no_grad():
        for start in range(0, len(images), MANY):
            batch = torch.tensor(images.images[start : start + MANY])[:, None].float() / 255
            found[start : start + MANY] = FEATURES[features](batch).numpy()
    return found


def scores(model: Any, rows: np.ndarray) -> np.ndarray:
    """Return (n, 10) scores whose softmax are the probabilities of `model`, before any temperature."""
    if hasattr(model, "predict_proba"):
        return np.log(np.maximum(model.predict_proba(rows), LEAST))
    return np.asarray(model.decision_function(rows))


def probabilities(model: Any, features: str, temperature: float, images: LabelledImages) -> np.ndarray:
    """Return (n, 10) probabilities of the fitted `model`."""
    return np.asarray(softmax(scores(model, rows(images, features)) / temperature, axis=1))


def export(model: Any, features: str, temperature: float) -> onnx.ModelProto:
    """Return the fitted `model` with the `features` before it and the `temperature` behind it as ONNX, from `images`
    (n, 1, 28, 28) to `probabilities` (n, 10).
    """
    before = to_onnx(FEATURES[features], "features")
    has_probabilities = hasattr(model, "predict_proba")
    options = {"zipmap": False} | ({} if has_probabilities else {"raw_scores": True})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # skl2onnx 1.20 reads attributes that scikit-learn deprecates
        row = np.zeros((1, model.n_features_in_), np.float32)
        converted = skl2onnx.to_onnx(model, row, options={id(model[-1]): options}, target_opset=OPSETS)
    add_prefix(converted, "sklearn_", inplace=True)  # its names must not be those of the features' graph
    graph = converted.graph
    scored = graph.output[1].name
    graph.initializer.append(helper.make_tensor("temperature", TensorProto.FLOAT, [], [temperature]))
    if has_probabilities:
        graph.initializer.append(helper.make_tensor("least", TensorProto.FLOAT, [], [LEAST]))
        graph.node.append(helper.make_node("Max", [scored, "least"], ["bounded"], "bound"))
        graph.node.append(helper.make_node("Log", ["bounded"], ["scores"], "log"))
        scored = "scores"
    graph.node.append(helper.make_node("Div", [scored, "temperature"], ["cooled"], "cool"))
    graph.node.append(helper.make_node("Softmax", ["cooled"], [OUTPUT], "softmax", axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 10]))
    converted.ir_version = before.ir_version
    return merge_models(before, converted, [("features", graph.input[0].name)], name="digits")


def _accuracy(model: Any, rows: np.ndarray, labels: np.ndarray) -> float:
    return round(float((model.predict(rows) == labels).mean()), 6)
