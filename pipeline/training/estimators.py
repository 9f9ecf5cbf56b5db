"""scikit-learn: fit a pipeline to features of the images, on growing subsets for a learning curve, and export features
and pipeline as one ONNX graph.

Probabilities are softmax(scores / temperature), see `pipeline.training.calibration`. Scores are the logarithms of an
estimator's own probabilities, or come from its one-vs-one decision values by `pipeline.training.coupling`.
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
from onnx import TensorProto, helper, numpy_helper
from onnx.compose import add_prefix, merge_models
from rich.console import Console
from scipy.special import softmax
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from torch import nn

from digits.errors import InputError
from digits.interface import PROBABILITIES
from pipeline.datasets.arrays import LabelledImages, Shape
from pipeline.onnx_graph import forest
from pipeline.onnx_graph.export import OPSET, to_onnx
from pipeline.params import Count
from pipeline.training import FittedModel, TrainingContext
from pipeline.training.calibration import calibrate
from pipeline.training.coupling import couple, fit_coupling, incidence
from pipeline.training.hog import OrientedGradients

CURVE = (1 / 16, 1 / 4, 1)  # fractions of the training images: the points of the learning curve
EXTRACTORS: dict[str, nn.Module] = {"pixels": nn.Flatten(), "hog": OrientedGradients()}
OPSETS = {"": OPSET, "ai.onnx.ml": 3}
MIN_PROBABILITY = 1e-6  # before the logarithm; trees predict 0
BATCH = 1_000  # images at a time; bounds memory
MAX_VALUES = 3 * 2**25  # features of all training images together, 384 MiB; beyond that a model is fitted to a sample

Coupling = tuple[float, float] | None  # slope and temperature


def fit(model: Any, context: TrainingContext, *, features: Literal["pixels", "hog"], max_images: Count) -> FittedModel:
    """Fit `model`, a scikit-learn pipeline that classifies rows of features, float32 (n, features), to the training
    images, or to a stratified sample of them: `sampled_images` in the metadata. Of the validation images at most a
    quarter as many are used.

    Args:
        features: pixels in [0, 1], or histograms of oriented gradients, see `pipeline.training.hog`.
        max_images: The largest sample; it is smaller if its features are more than MAX_VALUES.

    Raises:
        InputError: the hyperparameters do not suit the number of images, or an augmentation that needs batches.
    """
    if context.augmentation:
        raise InputError(
            f"params.yaml: models.{context.name}.augmentation: expected none, or training_set: augmented: "
            "scikit-learn's models are not trained in batches."
        )
    live = Live(str(context.curves), save_dvc_exp=False, dvcyaml=None, report=None)
    torch.set_num_threads(context.threads)
    most = min(max_images, MAX_VALUES // width(features, context.train.shape))
    sampled, held_out = sample(context.train, most, context.seed), sample(context.validation, most // 4, context.seed)
    labels = sampled.labels.astype(np.int64)  # every converter of skl2onnx supports it
    train, validation = extract(sampled, features), extract(held_out, features)
    for fraction in CURVE:
        count = int(len(labels) * fraction)
        model = clone(model)
        try:
            with (
                Console(stderr=True).status(f"{context.name}: fitting on {count:,} images"),
                parallel_config(n_jobs=context.threads),
            ):
                model.fit(train[:count], labels[:count])
        except ValueError as error:
            if fraction < 1:  # too few images for this model: no point on the curve
                continue
            raise InputError(f"{context.name}: scikit-learn cannot fit it to {count:,} images: {error}") from error
        with Console(stderr=True).status(f"{context.name}: scoring"):
            seen = min(count, len(validation))
            live.step = count
            live.log_metric("train/error", _error(model, train[:seen], labels[:seen]))
            live.log_metric("validation/error", _error(model, validation, held_out.labels))
            live.sync()
    live.end()
    is_one_vs_one = getattr(model[-1], "decision_function_shape", None) == "ovo"
    coupling = fit_coupling(model.decision_function(validation), held_out.labels) if is_one_vs_one else None
    calibration = calibrate(scores(model, validation, coupling), held_out.labels)
    how = (model, features, coupling, calibration.temperature)
    shape = context.train.shape
    metadata: dict[str, Any] = calibration.to_dict()
    if len(sampled) < len(context.train):
        metadata |= {"sampled_images": len(sampled)}
    if coupling:
        metadata |= {"coupling_slope": coupling[0], "coupling_temperature": coupling[1]}
    return FittedModel(partial(predict_proba, *how), partial(export, *how, shape), metadata)


def extract(images: LabelledImages, features: str) -> np.ndarray:
    """Return the `features` of the images, (n, features) float32."""
    rows = np.empty((len(images), width(features, images.shape)), np.float32)
    with torch.no_grad():
        done = 0
        for batch in images.batches(BATCH):
            pixels = torch.tensor(batch.channels_first()).float() / 255
            rows[done : done + len(batch)] = EXTRACTORS[features](pixels).numpy()
            done += len(batch)
    return rows


def sample(images: LabelledImages, count: int, seed: int) -> LabelledImages:
    """Return `count` of the images, drawn at random and stratified by class, or all if there are no more."""
    if len(images) <= count:
        return images
    rows, _ = train_test_split(np.arange(len(images)), train_size=count, stratify=images.labels, random_state=seed)
    return images.at(rows)


def width(features: str, shape: Shape) -> int:
    """Return the number of `features` of an image."""
    with torch.no_grad():
        return int(EXTRACTORS[features](torch.zeros(1, *shape)).shape[1])


def scores(model: Any, rows: np.ndarray, coupling: Coupling) -> np.ndarray:
    """Return (n, classes) scores whose softmax are the probabilities of `model`, before any temperature.

    Args:
        rows: features, float32 (n, features).
        coupling: slope and temperature for one-vs-one decision values; None for other models.
    """
    if hasattr(model, "predict_proba"):
        return np.log(np.maximum(model.predict_proba(rows), MIN_PROBABILITY))
    decisions = np.asarray(model.decision_function(rows))
    return couple(decisions, *coupling) if coupling else decisions


def predict_proba(
    model: Any, features: str, coupling: Coupling, temperature: float, images: LabelledImages
) -> np.ndarray:
    """Return the probabilities (n, classes) of the fitted `model`."""
    blocks = images.batches(max(1, MAX_VALUES // 4 // width(features, images.shape)))
    found = [softmax(scores(model, extract(block, features), coupling) / temperature, axis=1) for block in blocks]
    return np.concatenate(found)


def export(model: Any, features: str, coupling: Coupling, temperature: float, shape: Shape) -> onnx.ModelProto:
    """Return features, fitted `model`, coupling and temperature as one ONNX model, from `images` (n, *shape) to
    `probabilities` (n, classes).
    """
    forest.register()
    extractor = to_onnx(EXTRACTORS[features], "features", shape)
    has_probabilities = hasattr(model, "predict_proba")
    options = {"zipmap": False} | ({} if has_probabilities else {"raw_scores": True})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # skl2onnx 1.20 reads attributes that scikit-learn deprecates
        row = np.zeros((1, model.n_features_in_), np.float32)
        converted = skl2onnx.to_onnx(model, row, options={id(model[-1]): options}, target_opset=OPSETS)
    add_prefix(converted, "sklearn_", inplace=True)  # avoid the names in the extractor's graph
    graph = converted.graph
    tail = _Tail(graph, graph.output[1].name)
    if has_probabilities:
        tail.add("Max", tail.constant("min_probability", MIN_PROBABILITY))
        tail.add("Log")
    elif coupling:
        slope, coupling_temperature = coupling
        pairs = np.eye(len(incidence(len(model.classes_))) // 2)
        tail.add("MatMul", tail.constant("both_signs", slope * np.concatenate([-pairs, pairs], axis=1)))
        tail.add("Softplus")
        tail.add(
            "MatMul",
            tail.constant("incidence", -incidence(len(model.classes_)) / coupling_temperature),
            output="scores",
        )
    tail.add("Div", tail.constant("temperature", temperature))
    tail.add("Softmax", output=PROBABILITIES, axis=1)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", len(model.classes_)]))
    converted.ir_version = extractor.ir_version
    return merge_models(extractor, converted, [("features", graph.input[0].name)], name="digits")


class _Tail:
    """Appends nodes to a graph, each taking the output of the one before."""

    def __init__(self, graph: onnx.GraphProto, start: str) -> None:
        self.graph, self.last = graph, start

    def constant(self, name: str, value: Any) -> str:
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> None:
        name = output or f"calibration_{operator.lower()}"
        self.graph.node.append(helper.make_node(operator, [self.last, *inputs], [name], f"{name}_node", **attributes))
        self.last = name


def _error(model: Any, rows: np.ndarray, labels: np.ndarray) -> float:
    return round(float((model.predict(rows) != labels).mean()), 6)
