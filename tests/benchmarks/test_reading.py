import numpy as np
import pytest

from benchmarks import reading
from digits.model import Classifier
from pipeline.datasets.arrays import LabelledImages
from tests.conftest import ROOT


@pytest.mark.parametrize("kind", reading.KINDS)
def test_composed_pictures_are_valid_and_repeatable(kind: str, digits: LabelledImages) -> None:
    drawn, again = reading.pictures(kind, digits, 3), reading.pictures(kind, digits, 3)
    for (grey, text), (same, _) in zip(drawn, again, strict=True):
        assert grey.dtype == np.float32
        assert grey.ndim == 2
        assert 0 <= grey.min() < grey.max() <= 1
        assert text.isdigit()
        assert np.array_equal(grey, same)


def test_exact_readings_are_counted(digits: LabelledImages) -> None:
    drawn = reading.pictures("rows", digits, 4)
    blank = (np.full((50, 50), 0.8, np.float32), "7")
    found = reading.measure(Classifier.load(ROOT / "models/best"), [*drawn, blank])
    assert found["pictures"] == 5
    assert found["no_digit_found"] >= 1
    assert 0 <= found["exact"] <= 4
    low, high = found["interval"]
    assert low <= found["exact"] / 5 <= high
