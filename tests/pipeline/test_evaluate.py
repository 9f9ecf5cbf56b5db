import numpy as np

from pipeline.evaluate import gallery

LABELS = np.array([0, 1, 2, 3])
PROBABILITIES = np.full((4, 10), 0.01)
PROBABILITIES[[0, 1, 2, 3], [0, 5, 6, 3]] = [0.95, 0.7, 0.9, 0.6]  # correct, wrong, wrong, correct


def test_most_confident_errors_come_first() -> None:
    rows, captions = gallery(PROBABILITIES, LABELS, 10, errors=True)
    assert rows.tolist() == [2, 1]
    assert captions == ["2 → 6  0.90", "1 → 5  0.70"]


def test_least_confident_correct_predictions_come_first() -> None:
    rows, captions = gallery(PROBABILITIES, LABELS, 1, errors=False)
    assert rows.tolist() == [3]
    assert captions == ["3  0.60"]
