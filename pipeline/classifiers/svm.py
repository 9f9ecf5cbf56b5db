"""Support vector machine with an RBF kernel on principal components of the features."""

from typing import Annotated

from pydantic import Field
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC

from pipeline.training.estimators import fit

__all__ = ["build", "fit"]


def build(
    *,
    components: Annotated[int, Field(ge=1, le=512)],
    C: Annotated[float, Field(gt=0)],
    gamma: Annotated[float, Field(gt=0)],
) -> Pipeline:
    """Return the classifier.

    Args:
        components: principal components kept.
        C: inverse strength of regularisation.
        gamma: 1 / the squared reach of a support vector, in units of the features.
    """
    return make_pipeline(PCA(components, svd_solver="covariance_eigh"), SVC(C=C, gamma=gamma, cache_size=1000))
