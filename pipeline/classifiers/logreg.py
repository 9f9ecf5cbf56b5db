"""Multinomial logistic regression: the baseline that every other model has to beat."""

from typing import Annotated

from pydantic import Field
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from pipeline.datasets.arrays import Shape
from pipeline.params import Count
from pipeline.training.estimators import fit

__all__ = ["build", "fit"]


def build(shape: Shape, classes: int, *, C: Annotated[float, Field(gt=0)], max_iter: Count) -> Pipeline:
    """Return the classifier.

    Args:
        C: The inverse strength of the L2 penalty; smaller regularises more.
        max_iter: The largest number of iterations of L-BFGS.
    """
    return make_pipeline(LogisticRegression(C=C, max_iter=max_iter))
