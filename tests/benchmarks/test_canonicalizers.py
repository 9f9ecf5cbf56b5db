import numpy as np
import pytest

from benchmarks import canonicalizers
from pipeline.datasets.arrays import LabelledImages
from pipeline.robustness.corruptions import CORRUPTIONS


def test_clean_and_corrupted_images_are_counted_apart(digits: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonicalizers, "CORRUPTIONS", {name: CORRUPTIONS[name] for name in ("inverted", "stripe")})
    monkeypatch.setattr(canonicalizers, "IMAGES", 50)
    some = digits.first(100)
    known = {image.tobytes(): label for image, label in zip(some.images, some.labels.tolist(), strict=True)}

    def infer(images: np.ndarray) -> np.ndarray:
        """Return the correct digit of unchanged images and a wrong one of the others, except the first."""
        digits = [known.get(image.tobytes(), (some.labels[0] if not row else -1)) for row, image in enumerate(images)]
        return np.stack([np.eye(10)[digit] if digit >= 0 else np.eye(10)[0] * -1 for digit in digits])

    found = canonicalizers.measure(infer, some, seed=1)
    zeros = (some.labels[:50] == 1).mean()  # the argmax of (-1, 0, 0, ...) is 1
    assert found["clean_accuracy"] == 1
    assert found["corrupted_accuracy"] == pytest.approx(zeros + (0 if some.labels[0] == 1 else 0.02), abs=1e-6)
    assert found["worst"] <= found["corrupted_accuracy"]
    assert found["n"] == 50 * 6


def test_the_network_trained_on_corruptions_is_that_of_params(
    digits: LabelledImages, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    monkeypatch.setattr(canonicalizers, "minimise", lambda network, loss, **how: steps.append((loss().item(), how)))
    model = canonicalizers.trained_on_corruptions(digits, settings, threads=1)
    (loss, how), cnn = steps[0], settings.models["cnn"]
    assert 1 < loss < 10
    assert how["steps"] == cnn["epochs"] * len(digits) // cnn["batch_size"]
    found = canonicalizers.infer(model, digits.images[:20], 1)
    assert found.shape == (20, 10)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
