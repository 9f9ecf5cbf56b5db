import cv2
import numpy as np
import pytest

from pipeline.datasets import records


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Return 20 of scikit-learn's digits, (20, 28, 28) uint8, enlarged to 20x20 with a margin.

    Nothing else in the pipeline has changed them, so that checksums depend on the corruptions alone.
    """
    digits = records.get("digits").bundled()["train_images"][:20]
    return np.stack([np.pad(cv2.resize(digit, (20, 20)), 4) for digit in digits])
