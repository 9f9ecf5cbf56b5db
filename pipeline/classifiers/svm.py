"""Support vector machine with an RBF kernel on principal components of the features."""

from typing import Annotated

from pydantic import Field
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC

from pipeline.datasets.arrays import Shape
from pipeline.training.estimators import fit

__all__ = ["build", "fit"]


def build(
    shape: Shape,
    classes: int,
    *,
    components: Annotated[int, Field(ge=1, le=512)],
    C: Annotated[float, Field(gt=0)],
    gamma: Annotated[float, Field(gt=0)],
) -> Pipeline:
    """Return the classifier.

    Args:
        components: The number of principal components.
        C: The inverse strength of regularisation.
        gamma: The kernel is exp(-gamma * squared distance).
    """
    svc = SVC(C=C, gamma=gamma, decision_function_shape="ovo", cache_size=1000)
    return make_pipeline(PCA(components, svd_solver="covariance_eigh"), svc)
