import numpy as np

from pipeline.scoring.coverage import accuracy_by_coverage, selective


def test_the_least_confident_predictions_are_left_out() -> None:
    confidence = np.linspace(1, 0, 1000)
    correct = np.ones(1000, bool)
    correct[[100, 930, 985, 999]] = False
    found = {row["coverage"]: row["accuracy"] for row in accuracy_by_coverage(confidence, correct)}
    assert found == {0.9: 0.998889, 0.95: 0.997895, 0.98: 0.997959, 0.99: 0.99697, 0.995: 0.996985, 1.0: 0.996}
    shuffled = np.random.default_rng(0).permutation(1000)
    assert accuracy_by_coverage(confidence[shuffled], correct[shuffled]) == accuracy_by_coverage(confidence, correct)


def test_selective_scores_by_hand() -> None:
    correct = np.array([True, True, True, False, False, True, True, True])
    accepted = np.array([True, True, True, True, False, False, True, True])
    assert selective(correct, accepted) == {
        "accuracy": 0.75,
        "coverage": 0.75,
        "selective_accuracy": 0.833333,
        "accepted_and_correct": 0.625,
    }


def test_selective_accuracy_is_zero_if_nothing_is_accepted() -> None:
    found = selective(np.ones(3, bool), np.zeros(3, bool))
    assert found == {"accuracy": 1.0, "coverage": 0.0, "selective_accuracy": 0.0, "accepted_and_correct": 0.0}
