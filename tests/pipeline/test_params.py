from pathlib import Path

import pytest

from digits.errors import InputError
from pipeline import params
from pipeline.params import Params
from tests.conftest import ROOT

GOOD = (ROOT / "params.yaml").read_text()


def load(tmp_path: Path, text: str) -> Params:
    (tmp_path / "params.yaml").write_text(text)
    return params.load(tmp_path / "params.yaml")


def test_the_committed_file_is_valid(settings: Params) -> None:
    assert settings.dataset == "mnist"
    assert settings.split.validation == 5000
    assert set(settings.models) >= {"logreg", "svm", "random_forest", "mlp", "lenet", "cnn"}
    assert params.STORED_POLICY in settings.augmentation
    assert settings.augmentation["none"].changes_nothing
    assert not settings.augmentation["standard"].changes_nothing


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD.replace("    shear: 0.2\n", "    shear: 1e-3\n")).augmentation["standard"].shear == 0.001


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("validation: 5000", "validation: 0", "split.validation: found 0 (int). Input should be greater than or equal"),
        ("validation: 5000", "validation: '5000'", "split.validation: found '5000' (str). Input should be a valid int"),
        ("validation: 5000", "validatoin: 5000", "split.validatoin: unknown key. Did you mean 'validation'?"),
        ("validation: 5000", "validatoin: 5000", "split.validation: missing."),
        ("    shear: 0.2\n", "    shear: .nan\n", "augmentation.standard.shear: found nan (float). Input should be"),
        ("    shear: 0.2\n", "    sheer: 0.2\n", "augmentation.standard.sheer: unknown key. Did you mean 'shear'?"),
        ("threads: 2", "threads: true", "runtime.threads: found True (bool). Input should be a valid integer"),
        ("seed: 42\n", "seed: -1\n", "seed: found -1 (int). Input should be greater than or equal to 0"),
        ("outliers: 50000", "outliers: 0.5", "ood.outliers: found 0.5 (float). Input should be a valid integer"),
        ("    steps: 5000", "    step: 5000", "ood.detector.step: unknown key. Did you mean 'steps'?"),
        ("dataset: mnist", "datasets: mnist", "datasets: unknown key. Did you mean 'dataset'? Allowed: dataset, seed,"),
        ("dataset: mnist", "dataset: mnist\ndataset: digits", 'found duplicate key "dataset"'),
        ("dataset: mnist", "dataset: [mnist", "is not valid YAML"),
    ],
)
def test_the_message_names_key_value_and_what_is_allowed(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert "params.yaml" in str(caught.value)
    assert message in str(caught.value)


def test_missing_and_empty_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found\. Run this from the repository"):
        params.load(tmp_path / "params.yaml")
    with pytest.raises(InputError, match="expected sections"):
        load(tmp_path, "")
    with pytest.raises(InputError, match="expected a file, found a directory"):
        params.load(tmp_path)


def test_a_policy_is_found_by_name(settings: Params) -> None:
    assert settings.policy("ood", "ood.detector.augmentation") is settings.augmentation["ood"]
    with pytest.raises(InputError, match=r"^params\.yaml: here: found 'strong'\. Allowed: none, standard, ood\.$"):
        settings.policy("strong", "here")


def test_a_model_with_other_values_is_a_copy(settings: Params) -> None:
    changed = settings.with_model("svm", {"C": 1.0})
    assert changed.models["svm"] == settings.models["svm"] | {"C": 1.0}
    assert settings.models["svm"]["C"] != 1.0
    assert changed.models.keys() == settings.models.keys()
    assert changed.models["cnn"] == settings.models["cnn"]
    assert changed.model_copy(update={"models": settings.models}) == settings
