"""k nearest neighbours in principal components of the features, with votes that decrease with distance.

A neighbour's vote is the squared distance of the farthest of the neighbours minus its own. Probabilities then change
continuously with the image: two neighbours at nearly the same distance may change places, as they do between
scikit-learn and ONNX Runtime, without a visible effect. Source: Dudani, The Distance-Weighted k-Nearest-Neighbor Rule
(1976), with distances instead of their squares.

The ONNX file contains all training images, four bytes per image and component: 8.8 MB for MNIST with 40 components.
"""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from skl2onnx import update_registered_converter
from skl2onnx.algebra.onnx_ops import (
    OnnxAdd,
    OnnxArgMax,
    OnnxDiv,
    OnnxGather,
    OnnxMatMul,
    OnnxMul,
    OnnxOneHot,
    OnnxReduceMin,
    OnnxReduceSum,
    OnnxSub,
    OnnxTopK,
    OnnxUnsqueeze,
)
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from pipeline.datasets.arrays import Shape
from pipeline.params import Count
from pipeline.training import FittedModel, TrainingContext, estimators

MIN_VOTE = 1e-6  # of the farthest neighbour, and of all if they are equally far


def build(
    shape: Shape, classes: int, *, components: Annotated[int, Field(ge=1, le=512)], n_neighbors: Count
) -> Pipeline:
    """Return the classifier.

    Args:
        components: The number of principal components.
        n_neighbors: The number of neighbours that vote; more regularises more.
    """
    return make_pipeline(PCA(components, svd_solver="covariance_eigh"), NearestNeighbours(n_neighbors))


def fit(model: Any, context: TrainingContext, *, features: Literal["pixels", "hog"], max_images: Count) -> FittedModel:
    """Fit the classifier, see `pipeline.training.estimators.fit`.

    Args:
        features: pixels in [0, 1], or histograms of oriented gradients, see `pipeline.training.hog`.
        max_images: The largest sample of the training images.
    """
    update_registered_converter(
        NearestNeighbours,
        NearestNeighbours.__module__,
        calculate_linear_classifier_output_shapes,
        convert,
        options={"zipmap": [False], "nocl": [False], "output_class_labels": [False]},
    )
    return estimators.fit(model, context, features=features, max_images=max_images)


class NearestNeighbours(KNeighborsClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """scikit-learn's classifier with votes that decrease with distance."""

    def __init__(self, n_neighbors: int) -> None:
        super().__init__(n_neighbors, weights=votes, algorithm="brute")

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> "NearestNeighbours":
        """Store `rows` (n, features) and their `labels` (n,).

        Raises:
            ValueError: there are fewer rows than neighbours.
        """
        if len(rows) < self.n_neighbors:
            raise ValueError(f"n_neighbors={self.n_neighbors} must be at most the number of images, {len(rows)}")
        super().fit(rows, labels)
        return self


def votes(distances: np.ndarray) -> np.ndarray:
    """Return the votes (n, neighbours) of neighbours at `distances` (n, neighbours)."""
    squared = distances**2
    return np.asarray(squared.max(axis=1, keepdims=True) - squared + MIN_VOTE)


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the classifier `operator.raw_operator` to `container`; skl2onnx's interface of a converter.

    A squared distance is |row|^2 + |known|^2 - 2 row known, of which the first term cancels in votes.
    """
    model, (rows,), (label, probabilities) = operator.raw_operator, operator.inputs, operator.outputs
    known = model._fit_X.astype(np.float64)
    version = {"op_version": container.target_opset}
    nearness = OnnxAdd(
        OnnxMatMul(rows, (2 * known.T).astype(np.float32), **version),
        -(known**2).sum(axis=1).astype(np.float32),
        **version,
    )
    nearest = OnnxTopK(nearness, np.array([model.n_neighbors]), axis=1, **version)
    smallest = OnnxReduceMin(nearest[0], np.array([1]), keepdims=1, **version)
    weights = OnnxAdd(OnnxSub(nearest[0], smallest, **version), np.array([MIN_VOTE], np.float32), **version)
    classes = OnnxGather(model._y.astype(np.int64), nearest[1], **version)
    one_hot = OnnxOneHot(classes, np.array([len(model.classes_)]), np.array([0, 1], np.float32), **version)
    ballots = OnnxMul(OnnxUnsqueeze(weights, np.array([2]), **version), one_hot, **version)
    counts = OnnxReduceSum(ballots, np.array([1]), keepdims=0, **version)
    total = OnnxReduceSum(counts, np.array([1]), keepdims=1, **version)
    winner = OnnxArgMax(counts, axis=1, keepdims=0, **version)
    OnnxDiv(counts, total, output_names=[probabilities], **version).add_to(scope, container)
    OnnxGather(model.classes_, winner, output_names=[label], **version).add_to(scope, container)
