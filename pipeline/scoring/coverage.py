"""How right a model is when it may decline to answer."""

import numpy as np

SHARES = (0.9, 0.95, 0.98, 0.99, 0.995, 1.0)  # of the images that are answered


def coverage(sureness: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Return the accuracy on each of SHARES of the images, those of which the model is surest.

    Source: El-Yaniv, Wiener: On the Foundations of Noise-free Selective Classification (2010).

    Args:
        sureness: (n,), how sure the model is of each image; only the order counts.
        right: (n,) bool, whether its answer is right.
    """
    order = np.argsort(-sureness.round(6), kind="stable")  # so that the order does not hang on the last bits
    counts = [max(1, round(share * len(right))) for share in SHARES]
    return [
        {"coverage": share, "accuracy": round(float(right[order][:count].mean()), 6)}
        for share, count in zip(SHARES, counts, strict=True)
    ]
