"""Calibration: whether 90% of the predictions made with a confidence of 90% are correct.

Source: Guo et al., On Calibration of Modern Neural Networks (2017).
"""

import numpy as np

from pipeline.scoring.rounding import DECIMALS, rounded

BINS = 15  # of equal width, over the confidence; each includes its upper bound


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Return the non-empty bins of a reliability diagram for `probabilities` (n, 10) and `labels` (n,): bounds, number
    of images, mean confidence (the probability of the predicted digit) and accuracy.
    """
    confidence = probabilities.max(axis=1).astype(np.float64).round(DECIMALS)
    correct = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    images, sums, hits = (np.bincount(place, weights, BINS) for weights in (None, confidence, correct))
    return [
        {
            "from": rounded(bin_ / BINS),
            "to": rounded((bin_ + 1) / BINS),
            "images": int(images[bin_]),
            "confidence": rounded(sums[bin_] / images[bin_]),
            "accuracy": rounded(hits[bin_] / images[bin_]),
        }
        for bin_ in np.flatnonzero(images)
    ]


def expected_calibration_error(bins: list[dict[str, float]]) -> float:
    """Return the mean over images of the difference between confidence and accuracy of their bin, see `reliability`."""
    images = sum(bin_["images"] for bin_ in bins)
    return rounded(sum(bin_["images"] * abs(bin_["confidence"] - bin_["accuracy"]) for bin_ in bins) / images)
