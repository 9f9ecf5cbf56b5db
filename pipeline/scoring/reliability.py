"""Calibration: whether 90% of the predictions made with a confidence of 90% are correct.

Source: Guo et al., On Calibration of Modern Neural Networks (2017).
"""

import numpy as np

from pipeline.scoring.rounding import PROBABILITY_DECIMALS, rounded, rounded_probability

BINS = 15  # of equal width, over the confidence; each includes its upper bound
CONFIDENCE_DECIMALS = 3  # of a bin's mean confidence: a bin may have one image only


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Return the non-empty bins of a reliability diagram for `probabilities` (n, classes) and `labels` (n,): bounds,
    number of images, mean confidence (the probability of the predicted class) and accuracy.
    """
    return [
        {
            "from": rounded(bin_ / BINS),
            "to": rounded((bin_ + 1) / BINS),
            "images": int(images),
            "confidence": round(float(confidence / images), CONFIDENCE_DECIMALS),
            "accuracy": rounded(correct / images),
        }
        for bin_, (images, confidence, correct) in enumerate(_sums(probabilities, labels))
        if images
    ]


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over images of the difference between confidence and accuracy of their bin, see `reliability`."""
    gaps = [abs(confidence - correct) for _, confidence, correct in _sums(probabilities, labels)]
    return rounded_probability(sum(gaps) / len(labels))


def _sums(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each bin (BINS, 3): number of images, sum of confidences, number of correct predictions."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence.round(PROBABILITY_DECIMALS) * BINS).astype(int) - 1, 0, BINS - 1)
    return np.stack([np.bincount(place, weights, BINS) for weights in (None, confidence, correct)], axis=1)
