import numpy as np
import pytest

from pipeline.serve.metrics import stroke_width


@pytest.mark.parametrize("width", [1, 2, 4])
def test_stroke_width(width: int) -> None:
    image = np.zeros((28, 28), np.float32)
    image[4:24, 10 : 10 + width] = 1
    assert stroke_width(image) == pytest.approx(width, rel=0.2)


def test_no_stroke() -> None:
    assert stroke_width(np.zeros((28, 28), np.float32)) == 0
