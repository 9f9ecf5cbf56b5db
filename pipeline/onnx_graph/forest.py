"""A converter of random forests to ONNX's TreeEnsembleClassifier that replaces the one of skl2onnx.

skl2onnx writes a weight for every class at every leaf, nearly all of them zero, which took over 7 GB of memory for 200
trees fitted to 110,000 images. This converter writes the non-zero weights only.
"""

from typing import Any

import numpy as np
from onnx import helper
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
    shares = np.concatenate([tree.value[tree.children_left == LEAF, 0, :] for tree in trees])  # (leaves, classes)
    which, digit = np.nonzero(shares)
    place = np.flatnonzero(leaf)[which]

    def column(name: str) -> np.ndarray:
        return np.where(leaf, 0, np.concatenate([getattr(tree, name) for tree in trees]))

    container.add_node(
        "TreeEnsembleClassifier",
        [operator.inputs[0].full_name],
        [output.full_name for output in operator.outputs],
        op_domain="ai.onnx.ml",
        op_version=3,
        name=scope.get_unique_operator_name("forest"),
        classlabels_int64s=forest.classes_.tolist(),
        post_transform="NONE",
    )
    columns = {
        "nodes_treeids": number,
        "nodes_nodeids": node,
        "nodes_featureids": column("feature"),
        "nodes_modes": np.array(["BRANCH_LEQ", "LEAF"], object)[leaf.astype(int)],
        "nodes_values": rounded_down(column("threshold")),
        "nodes_truenodeids": column("children_left"),
        "nodes_falsenodeids": column("children_right"),
        "class_treeids": number[place],
        "class_nodeids": node[place],
        "class_ids": digit,
        "class_weights": shares[which, digit] / len(trees),
    }
    for name, values in columns.items():  # one at a time: as Python lists they take ten times the memory
        container.nodes[-1].attribute.append(helper.make_attribute(name, values.tolist()))


def rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Return `thresholds` as float32, never greater, so that `pixel <= threshold` has the same answer for float32."""
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def register() -> None:
    """Make skl2onnx use this converter."""
    update_registered_converter(
        RandomForestClassifier,
        "RandomForest",
        calculate_linear_classifier_output_shapes,
        convert,
        options={"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [True, False]},
    )
