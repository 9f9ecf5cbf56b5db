"""Which labels look wrong, to models that did not learn from the image.

Source: Northcutt, Jiang, Chuang: Confident Learning (2021), who rank by the normalised margin.
"""

import numpy as np

from pipeline.scoring.rounding import DECIMALS


def margins(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) scores and (n,) the most probable other digits, given `probabilities` (n, 10) and `labels` (n,).

    The score is the probability of the label less that of the most probable other digit: -1 if the models are sure of
    another digit, 1 if they are sure of the label.
    """
    rows, others = np.arange(len(labels)), np.array(probabilities, np.float64)
    own = others[rows, labels]
    others[rows, labels] = -1
    return (own - others.max(axis=1)).round(DECIMALS), others.argmax(axis=1)
