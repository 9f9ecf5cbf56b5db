import numpy as np

from pipeline.scoring.slices import slices
from pipeline.scoring.uncertainty import interval


def test_slices_by_digit_and_by_measurement() -> None:
    images = np.zeros((4, 28, 28), np.uint8)
    for image, side in zip(images, (2, 3, 4, 10), strict=True):
        image[:side, :side] = 255  # 4, 9, 16 and 100 square pixels
    found = slices(images, np.array([1, 1, 2, 2]), np.array([True, False, True, True]), "0123456789", {"size": [9, 20]})
    assert list(found) == ["class", "size"]
    assert found["class"][0] == {"slice": "0", "images": 0, "errors": 0}
    low, high = interval(1, 2)
    assert found["class"][1] == {
        **{"slice": "1", "images": 2, "errors": 1},
        **{"accuracy": 0.5, "accuracy_low": low, "accuracy_high": high},
    }
    assert [(row["images"], row["errors"]) for row in found["class"][2:]] == [(2, 0), *[(0, 0)] * 7]
    assert [row["slice"] for row in found["size"]] == [
        "small: up to 9 square pixels",
        "medium: 9 to 20 square pixels",
        "large: over 20 square pixels",
    ]
    assert [(row["images"], row["errors"]) for row in found["size"]] == [(2, 1), (1, 0), (1, 0)]
