import numpy as np

from pipeline.scoring.coverage import coverage


def test_leaves_out_what_it_is_least_sure_of() -> None:
    sureness = np.linspace(1, 0, 1000)
    right = np.ones(1000, bool)
    right[[100, 930, 985, 999]] = False
    found = {row["coverage"]: row["accuracy"] for row in coverage(sureness, right)}
    assert found == {0.9: 0.998889, 0.95: 0.997895, 0.98: 0.997959, 0.99: 0.99697, 0.995: 0.996985, 1.0: 0.996}
    shuffled = np.random.default_rng(0).permutation(1000)
    assert coverage(sureness[shuffled], right[shuffled]) == coverage(sureness, right)
