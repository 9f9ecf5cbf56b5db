"""Whether probabilities mean what they say: that of the digits that a model is 90% sure of, 90% are right.

Source: Guo et al., On Calibration of Modern Neural Networks (2017).
"""

import numpy as np

from pipeline.scoring.rounding import DECIMALS, rounded

BINS = 15  # of equal width, over the probability of the predicted digit; each holds its upper bound


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Return the bins of `probabilities` (n, 10) that hold any image, with its number of images, the mean probability
    of their predicted digits (confidence) and the share of them that is right (accuracy).
    """
    sureness = probabilities.max(axis=1).astype(np.float64).round(DECIMALS)
    right = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(sureness * BINS).astype(int) - 1, 0, BINS - 1)
    images, confidence, accuracy = (np.bincount(place, weights, BINS) for weights in (None, sureness, right))
    return [
        {
            "from": rounded(bin_ / BINS),
            "to": rounded((bin_ + 1) / BINS),
            "images": int(images[bin_]),
            "confidence": rounded(confidence[bin_] / images[bin_]),
            "accuracy": rounded(accuracy[bin_] / images[bin_]),
        }
        for bin_ in np.flatnonzero(images)
    ]


def expected_error(bins: list[dict[str, float]]) -> float:
    """Return the expected calibration error: the mean over images of how far confidence and accuracy of their bin are
    apart, see `reliability`.
    """
    images = sum(bin_["images"] for bin_ in bins)
    return rounded(sum(bin_["images"] * abs(bin_["confidence"] - bin_["accuracy"]) for bin_ in bins) / images)
