"""Selective classification: accuracy of a model that may decline to answer.

Source: El-Yaniv and Wiener, On the Foundations of Noise-free Selective Classification (2010).
"""

import numpy as np

from pipeline.scoring.rounding import PROBABILITY_DECIMALS, rounded

COVERAGES = (0.9, 0.95, 0.98, 0.99, 0.995, 1.0)  # fractions of the images that are answered


def accuracy_by_coverage(confidence: np.ndarray, correct: np.ndarray) -> list[dict[str, float]]:
    """Return the accuracy on the most confident fraction of the images, for each of COVERAGES.

    Args:
        confidence: (n,) of each prediction; only the order matters.
        correct: (n,) bool, whether the prediction is correct.
    """
    order = np.argsort(-confidence.round(PROBABILITY_DECIMALS), kind="stable")  # ties keep their order
    counts = [max(1, round(coverage * len(correct))) for coverage in COVERAGES]
    return [
        {"coverage": coverage, "accuracy": rounded(correct[order][:count].mean())}
        for coverage, count in zip(COVERAGES, counts, strict=True)
    ]


def selective(correct: np.ndarray, accepted: np.ndarray) -> dict[str, float]:
    """Return what a user gets from a model that rejects some images.

    accuracy counts all images as if none were rejected; coverage is the fraction accepted; selective_accuracy the
    accuracy of the accepted images; accepted_and_correct the fraction of all images that are accepted and correct.

    Args:
        correct, accepted: (n,) bool.
    """
    return {
        "accuracy": rounded(correct.mean()),
        "coverage": rounded(accepted.mean()),
        "selective_accuracy": rounded(correct[accepted].mean()) if accepted.any() else 0.0,
        "accepted_and_correct": rounded((correct & accepted).mean()),
    }
