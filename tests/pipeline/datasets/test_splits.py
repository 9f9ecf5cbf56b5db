import numpy as np
import pytest

from digits.errors import InputError
from pipeline.datasets import splits

NAMES = ("ant", "bee", "cat")
LABELS = np.repeat(np.arange(3, dtype=np.uint8), [6, 12, 18])


def divide(held_out: float, seed: int = 1, labels: np.ndarray = LABELS) -> tuple[np.ndarray, np.ndarray]:
    return splits.split(labels, np.arange(len(labels)), held_out, seed, "split.validation", NAMES)


def test_split_is_stratified_complete_and_determined_by_the_seed() -> None:
    kept, taken = divide(6)
    assert np.bincount(LABELS[taken]).tolist() == [1, 2, 3]
    assert sorted([*kept, *taken]) == list(range(36))
    assert np.array_equal(divide(6)[1], taken)
    assert not np.array_equal(divide(6, seed=2)[1], taken)


def test_size_is_a_number_or_a_fraction() -> None:
    assert np.array_equal(divide(1 / 3)[1], divide(12)[1])


def test_only_the_given_rows_are_divided() -> None:
    rows = np.arange(0, 36, 2)
    kept, taken = splits.split(LABELS, rows, 0.5, 1, "folder.test", NAMES)
    assert sorted([*kept, *taken]) == rows.tolist()
    assert len(taken) == 9


@pytest.mark.parametrize("count", [1, 2, 34, 5000])
def test_sizes_that_leave_no_image_of_a_class_are_refused(count: int) -> None:
    message = f"split.validation: found {count}, {count:,} images. Allowed: 3 to 33 images, since there are 36 of 3 cl"
    with pytest.raises(InputError, match=message):
        divide(count)


def test_smallest_and_largest_sizes_are_allowed() -> None:
    even = np.tile(np.arange(3), 12)
    assert sorted(even[divide(3, labels=even)[1]]) == [0, 1, 2]
    assert sorted(even[divide(33, labels=even)[0]]) == [0, 1, 2]


def test_a_class_that_would_be_missing_is_named() -> None:
    rare = np.repeat(np.arange(3), [2, 50, 50])
    with pytest.raises(InputError, match=r"None of 2 images of 'ant' would be among the 10 that are set aside"):
        divide(10, labels=rare)
    with pytest.raises(InputError, match=r"None of 2 images of 'ant' would be among the 12 that are left"):
        divide(90, labels=rare)
    with pytest.raises(InputError, match="expected at least 2 images of each class to divide, found 1 of 'ant'"):
        divide(10, labels=np.repeat(np.arange(3), [1, 50, 50]))
    with pytest.raises(InputError, match="found 0 of 'cat'"):
        divide(10, labels=np.repeat(np.arange(2), 50))
