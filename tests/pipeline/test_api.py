import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from digits.errors import InputError
from pipeline import api


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Change to a folder that is not a repository."""
    with contextlib.chdir(tmp_path_factory.mktemp("elsewhere")):
        yield


@pytest.fixture(scope="module")
def data() -> api.Dataset:
    """Return scikit-learn's digits."""
    return api.load_dataset("digits", seed=3)


@pytest.fixture(scope="module")
def model(data: api.Dataset) -> api.Model:
    """Return a fitted logistic regression."""
    return api.fit("logreg", data, max_iter=500)


def test_a_dataset_has_three_splits_that_the_seed_determines(data: api.Dataset) -> None:
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1293, 144, 360]
    assert data.classes == tuple("0123456789")
    assert data.digits
    assert (data.shape.channels, data.shape.height, data.shape.width) == (1, 28, 28)
    again, other = (api.load_dataset("digits", seed=seed, validation=100) for seed in (3, 4))
    assert len(again.validation) == 100
    assert not np.array_equal(again.validation.images, other.validation.images)
    assert np.array_equal(again.test.images, other.test.images)


def test_a_model_predicts_names_of_classes_and_its_scores_are_those_of_its_predictions(
    data: api.Dataset, model: api.Model
) -> None:
    predicted = api.predict(model, data.test.images)
    correct = np.array([int(name) for name in predicted]) == data.test.labels
    scores = api.evaluate(model, data.test)
    assert scores["accuracy"] == pytest.approx(correct.mean(), abs=1e-6)
    assert scores["accuracy"] > 0.85
    assert len(scores["per_class"]) == len(scores["confusion"]) == 10
    assert api.predict_proba(model, data.test.images[:3]).sum(axis=1) == pytest.approx(np.ones(3))


def test_the_saved_file_gives_the_same_probabilities(data: api.Dataset, model: api.Model, tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(model.save(tmp_path / "model.onnx"))
    (found,) = session.run(["probabilities"], {"images": data.test.scaled()})
    assert found == pytest.approx(api.predict_proba(model, data.test.images), abs=1e-5)


def test_hyperparameters_replace_those_of_params_yaml(data: api.Dataset, model: api.Model) -> None:
    weak = api.fit("logreg", data, C=1e-6)
    assert weak.hyperparameters["C"] == 1e-6
    assert weak.hyperparameters["max_iter"] != model.hyperparameters["max_iter"] == 500
    rows = api.compare({"weak": weak, "strong": model}, data.test)
    assert [row["model"] for row in rows] == ["strong", "weak"]
    assert rows[0]["mcnemar_p_holm"] is None
    assert rows[1]["mcnemar_p_holm"] < 0.01
    assert rows[1]["only_first_correct"] - rows[1]["only_this_correct"] == rows[1]["errors"] - rows[0]["errors"]
    other = api.compare({"weak": weak, "strong": model}, data.test, winner="weak")
    assert [row["model"] for row in other] == ["weak", "strong"]
    assert other[1]["only_first_correct"] == rows[1]["only_this_correct"]
    assert other[1]["mcnemar_p_holm"] == rows[1]["mcnemar_p_holm"]
    with pytest.raises(InputError, match=r"winner: found 'best'\. Allowed: weak, strong"):
        api.compare({"weak": weak, "strong": model}, data.test, winner="best")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("logreg", {"c": 1.0}, "c: unknown key. Allowed"),
        ("logreg", {"C": -1.0}, "C: found -1.0"),
        ("logrge", {}, "models.logrge"),
    ],
)
def test_wrong_names_and_values_are_errors(
    data: api.Dataset, name: str, changes: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        api.fit(name, data, **changes)
    assert message in str(caught.value)


def test_a_folder_of_colour_images_is_a_dataset(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, name in enumerate(("cat", "dog", "emu")):
        (tmp_path / name).mkdir()
        for image in range(20):
            pixels = rng.integers(0, 90, (30, 20, 3)) + np.eye(3, dtype=int)[number] * 120
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name / f"{image}.png")
    data = api.load_dataset("folder", path=tmp_path, height=40, width=24, color="rgb", title="animals")
    assert (data.title, data.classes, data.digits, data.shape) == (
        "animals, 60 images of 24x40 pixels",
        ("cat", "dog", "emu"),
        False,
        (3, 40, 24),
    )
    model = api.fit("logreg", data)
    assert api.evaluate(model, data.test)["accuracy"] == 1
    assert api.predict(model, data.test.images[:1])[0] in data.classes
