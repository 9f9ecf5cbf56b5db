"""scikit-learn: fit, on growing parts of the images for a learning curve, and export to ONNX.

An estimator without probabilities (SVC) gets them from its decision function, see `pipeline.training.calibration`.
"""

import warnings
from typing import Any

import numpy as np
import onnx
from dvclive.live import Live
from joblib import parallel_config
from onnx import TensorProto, helper
from onnx.compose import add_prefix
from rich.console import Console
from skl2onnx import to_onnx
from sklearn.base import clone

from pipeline.artifact import INPUT, OUTPUT
from pipeline.datasets.arrays import LabelledImages
from pipeline.errors import InputError
from pipeline.training import Fitted, Run
from pipeline.training.calibration import fit_temperature

CURVE = (1 / 16, 1 / 4, 1)  # parts of the training images: the points of the learning curve
OPSET = {"": 18, "ai.onnx.ml": 3}


def fit(model: Any, run: Run) -> Fitted:
    """Fit `model`, a scikit-learn pipeline that classifies images as rows (n, 784) float32 in [0, 1].

    Raises:
        InputError: the hyperparameters do not suit the number of images.
    """
    live = Live(str(run.curves), save_dvc_exp=False, dvcyaml=None, report=None)
    labels = run.train.labels.astype(np.int64)  # what every converter of skl2onnx understands
    for part in CURVE:
        count = int(len(labels) * part)
        train, model = run.train.first(count), clone(model)
        try:
            with (
                Console(stderr=True).status(f"{run.name}: fitting on {count:,} images"),
                parallel_config(n_jobs=run.settings.runtime.threads),
            ):
                model.fit(rows(train), labels[:count])
        except ValueError as error:
            if part < 1:  # too few images for this model: no point on the curve
                continue
            raise InputError(f"{run.name}: scikit-learn cannot fit it to {count:,} images: {error}") from error
        with Console(stderr=True).status(f"{run.name}: scoring"):
            validation = scores(model, run.validation)
            live.step = count
            live.log_metric("train/accuracy", _accuracy(model, train.first(len(run.validation))))
            live.log_metric("validation/accuracy", _accuracy(model, run.validation))
            live.sync()
    live.end()
    if hasattr(model, "predict_proba"):
        return Fitted(export(model))
    temperature = fit_temperature(validation, run.validation.labels)
    return Fitted(export(model, temperature), {"temperature": temperature})


def rows(images: LabelledImages) -> np.ndarray:
    """Return the images as (n, 784) float32 in [0, 1]."""
    return images.scaled().reshape(len(images), -1)


def scores(model: Any, images: LabelledImages) -> np.ndarray:
    """Return (n, 10) scores, the greatest for the predicted digit: probabilities where `model` has them."""
    score = model.predict_proba if hasattr(model, "predict_proba") else model.decision_function
    return np.asarray(score(rows(images)))


def export(model: Any, temperature: float | None = None) -> onnx.ModelProto:
    """Return the fitted `model` as ONNX, from `images` (n, 1, 28, 28) to `probabilities` (n, 10).

    With a `temperature`, `model` is one without probabilities, see above.
    """
    options = {"zipmap": False} | ({"raw_scores": True} if temperature else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # skl2onnx 1.20 reads attributes that scikit-learn deprecates
        converted = to_onnx(model, np.zeros((1, 784), np.float32), options={id(model[-1]): options}, target_opset=OPSET)
    add_prefix(converted, "sklearn_", inplace=True)  # its names must not be those of our input and output
    graph = converted.graph
    flatten = helper.make_node("Flatten", [INPUT], [graph.input[0].name], "flatten", axis=1)
    scored = graph.output[1].name
    if temperature:
        graph.initializer.append(helper.make_tensor("temperature", TensorProto.FLOAT, [], [temperature]))
        last = [
            helper.make_node("Div", [scored, "temperature"], ["cooled"], "cool"),
            helper.make_node("Softmax", ["cooled"], [OUTPUT], "softmax", axis=1),
        ]
    else:
        last = [helper.make_node("Identity", [scored], [OUTPUT], "probabilities")]
    graph.node.insert(0, flatten)
    graph.node.extend(last)
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 1, 28, 28]))
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 10]))
    graph.name = "digits"
    return converted


def _accuracy(model: Any, images: LabelledImages) -> float:
    return round(float((model.predict(rows(images)) == images.labels).mean()), 6)
