"""Random forest."""

from typing import Annotated

from pydantic import Field
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from pipeline.datasets.arrays import Shape
from pipeline.params import Count
from pipeline.training.estimators import fit

__all__ = ["build", "fit"]


def build(
    shape: Shape,
    classes: int,
    *,
    n_estimators: Count,
    max_features: Annotated[int, Field(ge=1, le=512)],
    min_samples_leaf: Count,
) -> Pipeline:
    """Return the classifier.

    Args:
        n_estimators: The number of trees.
        max_features: The number of features considered at each split.
        min_samples_leaf: The smallest number of images in a leaf; more regularises more.
    """
    return make_pipeline(
        RandomForestClassifier(n_estimators, max_features=max_features, min_samples_leaf=min_samples_leaf)
    )
