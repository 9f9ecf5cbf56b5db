"""Ranking of labels by how likely they are wrong, from out-of-sample probabilities.

Source: Northcutt, Jiang and Chuang, Confident Learning (2021), who rank by the normalised margin.
"""

import numpy as np

from pipeline.scoring.rounding import DECIMALS


def margins(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the margin (n,) of each label and the most probable other class (n,).

    The margin is the probability of the label minus that of the most probable other class, from -1 to 1; a label with a
    small margin is suspicious.

    Args:
        probabilities: (n, classes) from models that were not fitted to the image.
        labels: (n,).
    """
    rows, others = np.arange(len(labels)), np.array(probabilities, np.float64)
    own = others[rows, labels]
    others[rows, labels] = -1
    return (own - others.max(axis=1)).round(DECIMALS), others.argmax(axis=1)
