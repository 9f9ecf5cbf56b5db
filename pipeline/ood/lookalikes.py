"""Which images resemble a digit: those as near to some digit as digits are to each other.

Generated outliers, characters above all, are sometimes a digit to any reader: a slanted line is a 1, an o is a 0. They
must not be among the outliers that the OOD detector is trained on.
"""

import numpy as np
import torch

from pipeline.training.hog import OrientedGradients

QUANTILE = 0.9  # fraction of the digits whose nearest digit is within the limit
BATCH = 2_000  # images whose distances are computed at a time


class Lookalikes:
    """Finds images that resemble digits, by the distance of their histograms of oriented gradients.

    Args:
        digits: (n, 28, 28) uint8, to be near to.
        others: (m, 28, 28) uint8, other digits, whose distances set the limit.
    """

    def __init__(self, digits: np.ndarray, others: np.ndarray) -> None:
        self._features = torch.cat([_features(batch) for batch in _batches(digits)]).T.contiguous()
        self.limit = float(np.quantile(self.distances(others), QUANTILE))

    def distances(self, images: np.ndarray) -> np.ndarray:
        """Return the squared distance (n,) of `images`, (n, 28, 28) uint8, from the nearest digit, from 0 to 2."""
        nearest = [2 - 2 * (_features(batch) @ self._features).amax(1) for batch in _batches(images)]
        return torch.cat(nearest).numpy().astype(np.float64)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return (n,) bool: which of `images`, (n, 28, 28) uint8, resemble a digit."""
        return np.asarray(self.distances(images) < self.limit)


def _features(images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return OrientedGradients()(images[:, None].float() / 255)  # of unit length


def _batches(images: np.ndarray) -> tuple[torch.Tensor, ...]:
    return torch.tensor(images).split(BATCH)
