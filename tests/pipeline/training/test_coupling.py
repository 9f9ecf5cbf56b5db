"""Pairwise coupling of a support vector machine's one-vs-one decision values."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from digits.interface import PROBABILITIES
from pipeline.classifiers import svm
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import DIGIT
from pipeline.training import FittedModel, TrainingContext, coupling, estimators
from pipeline.training.calibration import fit_temperature, log_loss

PAIRS = list(itertools.combinations(range(10), 2))


def slow(decisions: np.ndarray, slope: float) -> list[list[float]]:
    """Return the scores of ten digits, one image, one digit and one opponent at a time."""
    scores = []
    for row in decisions.tolist():
        of_pair = dict(zip(PAIRS, row, strict=True))
        image = []
        for digit in range(10):
            total = 0.0
            for other in range(10):
                if digit != other:
                    margin = of_pair[digit, other] if digit < other else -of_pair[other, digit]
                    total += math.log(1 / (1 + math.exp(-slope * margin)))
            image.append(total)
        scores.append(image)
    return scores


@pytest.mark.parametrize("slope", [0.1, 1.0, 7.5])
def test_scores_agree_with_an_independent_implementation(slope: float) -> None:
    decisions = np.random.default_rng(0).normal(size=(50, 45))
    assert np.allclose(coupling.couple(decisions, slope), slow(decisions, slope), rtol=1e-12, atol=1e-12)


def test_large_decision_values_give_finite_scores() -> None:
    scores = coupling.couple(np.full((1, 45), 1e4), 3.0)
    assert np.isfinite(scores).all()
    assert scores[0, 0] == 0  # it wins all nine comparisons with certainty
    assert scores[0, 9] == pytest.approx(-9 * 3e4)


def test_permuted_classes_give_permuted_scores() -> None:
    rng = np.random.default_rng(0)
    decisions, order = rng.normal(size=(20, 45)), rng.permutation(10)
    permuted = np.empty_like(decisions)
    for pair, (first, second) in enumerate(PAIRS):
        a, b = order[first], order[second]
        sign = 1 if a < b else -1
        permuted[:, pair] = sign * decisions[:, PAIRS.index((min(a, b), max(a, b)))]
    assert np.allclose(coupling.couple(permuted, 2.0), coupling.couple(decisions, 2.0)[:, order])


def test_pairs_are_in_the_order_of_scikit_learn() -> None:
    """Each decision value of three classes is large for points of the first class of its pair."""
    points = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    rows, labels = np.repeat(points, 5, axis=0), np.repeat(np.arange(3), 5)
    model = SVC(decision_function_shape="ovo").fit(rows, labels)
    pairs = coupling.incidence(3)
    assert pairs.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    decisions = model.decision_function(points)
    for pair, (first, second) in enumerate(itertools.combinations(range(3), 2)):
        assert decisions[first, pair] > 0 > decisions[second, pair]
    assert coupling.couple(decisions, 1.0).argmax(axis=1).tolist() == [0, 1, 2]


@dataclass(frozen=True)
class Fitted:
    """A fitted SVM, the 837 digits that it was not fitted to, and its decision values there."""

    model: Pipeline
    held_out: LabelledImages
    decisions: np.ndarray


@pytest.fixture(scope="module")
def fitted(digits: LabelledImages) -> Fitted:
    model = svm.build(DIGIT, 10, components=40, C=5.0, gamma=3.0)
    model.fit(estimators.extract(digits.first(600), "hog"), digits.labels[:600].astype(np.int64))
    held_out = digits.at(np.arange(600, len(digits)))
    return Fitted(model, held_out, model.decision_function(estimators.extract(held_out, "hog")))


def test_the_fitted_slope_lowers_the_log_loss(fitted: Fitted) -> None:
    """Slope and temperature are fitted together: each other slope is compared with its own best temperature."""
    labels = fitted.held_out.labels

    def loss(slope: float) -> float:
        scores = coupling.couple(fitted.decisions, slope)
        return log_loss(scores / fit_temperature(scores, labels), labels)

    slope, temperature = coupling.fit_coupling(fitted.decisions, labels)
    assert temperature == pytest.approx(fit_temperature(coupling.couple(fitted.decisions, slope), labels), rel=0.05)
    assert loss(slope) < loss(1.0) < loss(0.1)
    for other in (slope / 2, slope / 1.2, slope * 1.2, slope * 2):
        assert loss(slope) < loss(other) + 1e-3


def test_confidence_is_lower_on_errors_than_that_of_votes(fitted: Fitted) -> None:
    """The softmax of scikit-learn's one-vs-rest decision values is nearly equal for all images: they are votes."""
    labels = fitted.held_out.labels
    slope, _ = coupling.fit_coupling(fitted.decisions, labels)
    confidence, correct = {}, {}
    both = {"coupling": coupling.couple(fitted.decisions, slope), "votes": votes(fitted.decisions)}
    for name, scores in both.items():
        probabilities = softmax(scores / fit_temperature(scores, labels), axis=1)
        confidence[name] = probabilities.max(axis=1)
        correct[name] = probabilities.argmax(axis=1) == labels
    wrong = ~correct["coupling"] & ~correct["votes"]
    assert wrong.sum() >= 5
    assert confidence["coupling"][wrong].mean() < confidence["votes"][wrong].mean() - 0.1
    auroc = {name: roc_auc_score(correct[name], confidence[name]) for name in confidence}
    assert auroc["coupling"] > 0.93
    assert auroc["coupling"] > auroc["votes"] + 0.05


def votes(decisions: np.ndarray) -> np.ndarray:
    """Return scikit-learn's one-vs-rest decision values: votes, with ties broken by the sum of confidences."""
    scores = np.zeros((len(decisions), 10))
    totals = np.zeros((len(decisions), 10))
    for pair, (first, second) in enumerate(PAIRS):
        won = decisions[:, pair] > 0
        scores[:, first] += won
        scores[:, second] += ~won
        totals[:, first] += decisions[:, pair]
        totals[:, second] -= decisions[:, pair]
    return scores + totals / (3 * (np.abs(totals) + 1))


def test_votes_are_those_of_scikit_learn(fitted: Fitted) -> None:
    """Checks this file's own reference."""
    one_vs_rest = fitted.model.set_params(svc__decision_function_shape="ovr")
    try:
        expected = one_vs_rest.decision_function(estimators.extract(fitted.held_out, "hog"))
    finally:
        fitted.model.set_params(svc__decision_function_shape="ovo")
    assert np.allclose(votes(fitted.decisions), expected)


def test_onnx_and_scikit_learn_give_the_same_probabilities(
    context_of: Callable[..., TrainingContext], digits: LabelledImages
) -> None:
    context = context_of()
    found: FittedModel = estimators.fit(
        svm.build(DIGIT, 10, components=40, C=5.0, gamma=5.0), context, features="hog", max_images=10_000
    )
    assert found.metadata["coupling_slope"] > 0
    assert found.metadata["coupling_temperature"] > 0
    images = digits.at(np.arange(1200, len(digits)))
    session = onnxruntime.InferenceSession(found.export().SerializeToString(), providers=["CPUExecutionProvider"])
    probabilities = session.run([PROBABILITIES], {"images": images.scaled()})[0]
    assert np.abs(probabilities - found.predict_proba(images)).max() < 2e-5
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    logarithms = log_softmax(np.log(np.maximum(probabilities, 1e-9)), axis=1)
    assert -logarithms[np.arange(len(images)), images.labels].mean() < 0.15
