"""Gradient boosting of decision trees on histograms of features: scikit-learn's HistGradientBoostingClassifier, which
follows LightGBM.

The conversion to ONNX is here because that of skl2onnx 1.20 fails with onnx 1.21 and later.
"""

from typing import Annotated, Any, Literal

import numpy as np
from onnx import helper
from pydantic import Field
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from pipeline.datasets.arrays import Shape
from pipeline.onnx_graph.forest import rounded_down
from pipeline.params import Count
from pipeline.training import FittedModel, TrainingContext, estimators


def build(
    shape: Shape,
    classes: int,
    *,
    max_iter: Count,
    learning_rate: Annotated[float, Field(gt=0, le=1)],
    max_leaf_nodes: Annotated[int, Field(ge=2)],
    min_samples_leaf: Count,
    l2_regularization: Annotated[float, Field(ge=0)],
    max_features: Annotated[float, Field(gt=0, le=1)],
) -> Pipeline:
    """Return the classifier.

    Args:
        max_iter: The number of rounds; each adds one tree per class, or one tree for two classes.
        learning_rate: The factor by which the outputs of a tree are multiplied; smaller needs more rounds.
        max_leaf_nodes: The largest number of leaves of a tree.
        min_samples_leaf: The smallest number of images in a leaf; more regularises more.
        l2_regularization: The strength of the L2 penalty of the outputs of leaves.
        max_features: The fraction of features considered at each split; less regularises more and is faster.
    """
    return make_pipeline(
        HistGradientBoostingClassifier(
            max_iter=max_iter,
            learning_rate=learning_rate,
            max_leaf_nodes=max_leaf_nodes,
            min_samples_leaf=min_samples_leaf,
            l2_regularization=l2_regularization,
            max_features=max_features,
            early_stopping=False,
        )
    )


def fit(model: Any, context: TrainingContext, *, features: Literal["pixels", "hog"], max_images: Count) -> FittedModel:
    """Fit the classifier, see `pipeline.training.estimators.fit`.

    Args:
        features: pixels in [0, 1], or histograms of oriented gradients, see `pipeline.training.hog`.
        max_images: The largest sample of the training images.
    """
    update_registered_converter(
        HistGradientBoostingClassifier,
        f"{__name__}.HistGradientBoostingClassifier",
        calculate_linear_classifier_output_shapes,
        convert,
        options={"zipmap": [False], "nocl": [False], "output_class_labels": [False]},
    )
    return estimators.fit(model, context, features=features, max_images=max_images)


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the classifier `operator.raw_operator` to `container`; skl2onnx's interface of a converter.

    Trees and their sum are one TreeEnsembleRegressor, whose outputs are logits. For two classes scikit-learn has only
    the trees of the second class; the logit of the first is 0.
    """
    model = operator.raw_operator
    trees = [tree.nodes for iteration in model._predictors for tree in iteration]
    nodes = np.concatenate(trees)
    number = np.repeat(np.arange(len(trees)), [len(tree) for tree in trees])
    node = np.concatenate([np.arange(len(tree)) for tree in trees])
    leaf = nodes["is_leaf"].astype(bool)
    baseline = model._baseline_prediction.ravel()
    outputs, first = len(model.classes_), len(model.classes_) - len(baseline)
    label, probabilities = (output.full_name for output in operator.outputs)
    logits, winner, labels = (scope.get_unique_variable_name(f"boosting_{name}") for name in ("logits", "class", "all"))

    def name() -> str:
        return str(scope.get_unique_operator_name("boosting"))

    container.add_node(
        "TreeEnsembleRegressor",
        [operator.inputs[0].full_name],
        [logits],
        op_domain="ai.onnx.ml",
        op_version=3,
        name=name(),
        n_targets=outputs,
        base_values=[0.0] * first + baseline.tolist(),
        aggregate_function="SUM",
        post_transform="NONE",
    )
    columns = {
        "nodes_treeids": number,
        "nodes_nodeids": node,
        "nodes_featureids": np.where(leaf, 0, nodes["feature_idx"]),
        "nodes_modes": np.array(["BRANCH_LEQ", "LEAF"], object)[leaf.astype(int)],
        "nodes_values": rounded_down(np.where(leaf, 0, nodes["num_threshold"])),
        "nodes_truenodeids": np.where(leaf, 0, nodes["left"]),
        "nodes_falsenodeids": np.where(leaf, 0, nodes["right"]),
        "target_treeids": number[leaf],
        "target_nodeids": node[leaf],
        "target_ids": first + number[leaf] % len(baseline),
        "target_weights": nodes["value"][leaf],
    }
    for column, values in columns.items():  # as in pipeline.onnx_graph.forest
        container.nodes[-1].attribute.append(helper.make_attribute(column, values.tolist()))
    container.add_node("Softmax", [logits], [probabilities], op_version=13, name=name(), axis=1)
    container.add_node("ArgMax", [logits], [winner], op_version=13, name=name(), axis=1, keepdims=0)
    container.add_initializer(labels, 7, [outputs], model.classes_.tolist())
    container.add_node("Gather", [labels, winner], [label], op_version=13, name=name())
