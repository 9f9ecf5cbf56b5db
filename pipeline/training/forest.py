"""A random forest as ONNX's TreeEnsembleClassifier, in place of skl2onnx's own converter.

skl2onnx writes a weight for every class at every leaf, nearly all of them zero: on a forest of 200 trees over 110,000
images that took over 7 GB of memory. This one writes the weights that are not zero.
"""

from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.ensemble import RandomForestClassifier

LEAF = -1  # what scikit-learn writes for the child of a leaf


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the forest `operator.raw_operator` to `container`; skl2onnx's interface of a converter."""
    forest = operator.raw_operator
    trees = [estimator.tree_ for estimator in forest.estimators_]
    leaf = np.concatenate([tree.children_left == LEAF for tree in trees])
    node = np.concatenate([np.arange(tree.node_count) for tree in trees])
    number = np.repeat(np.arange(len(trees)), [tree.node_count for tree in trees])
    shares = np.concatenate([tree.value[:, 0, :] for tree in trees])  # (nodes, classes), fractions of the images
    place, digit = np.nonzero(shares * leaf[:, None])

    def column(name: str) -> np.ndarray:
        return np.where(leaf, 0, np.concatenate([getattr(tree, name) for tree in trees]))

    container.add_node(
        "TreeEnsembleClassifier",
        [operator.inputs[0].full_name],
        [output.full_name for output in operator.outputs],
        op_domain="ai.onnx.ml",
        op_version=3,
        name=scope.get_unique_operator_name("forest"),
        nodes_treeids=number.tolist(),
        nodes_nodeids=node.tolist(),
        nodes_featureids=column("feature").tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_values=column("threshold").tolist(),
        nodes_truenodeids=column("children_left").tolist(),
        nodes_falsenodeids=column("children_right").tolist(),
        class_treeids=number[place].tolist(),
        class_nodeids=node[place].tolist(),
        class_ids=digit.tolist(),
        class_weights=(shares[place, digit] / len(trees)).tolist(),
        classlabels_int64s=forest.classes_.tolist(),
        post_transform="NONE",
    )


def register() -> None:
    """Make skl2onnx use this converter."""
    update_registered_converter(
        RandomForestClassifier,
        "RandomForest",
        calculate_linear_classifier_output_shapes,
        convert,
        options={"zipmap": [True, False, "columns"]},
    )
