import numpy as np

from pipeline.scoring.label_errors import margins


def test_margins_by_hand() -> None:
    probabilities = np.full((3, 10), 0.0)
    probabilities[0, [3, 5]] = 0.9, 0.1
    probabilities[1, [3, 5]] = 0.2, 0.8
    probabilities[2, 7] = 1
    scores, suggested = margins(probabilities, np.array([3, 3, 1]))
    assert scores.tolist() == [0.8, -0.6, -1]
    assert suggested.tolist() == [5, 5, 7]


def test_another_class_is_suggested_even_for_a_certain_label() -> None:
    scores, suggested = margins(np.array([[1.0, 0, 0]]), np.array([0]))
    assert scores.tolist() == [1]
    assert suggested.tolist() == [1]
