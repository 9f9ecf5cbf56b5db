from pathlib import Path

import pytest

from digits.errors import InputError
from pipeline import params

GOOD = (Path(__file__).parents[1] / "params.yaml").read_text()


def load(tmp_path: Path, text: str) -> params.Params:
    (tmp_path / "params.yaml").write_text(text)
    return params.load(tmp_path / "params.yaml")


def test_reads_the_projects_own() -> None:
    found = params.load()
    assert found.dataset == "mnist"
    assert found.split.validation == 5000
    assert set(found.models) >= {"logreg", "svm", "random_forest", "mlp", "lenet", "cnn"}


def test_reads_numbers_as_dvc_does(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD.replace("shear: 0.2", "shear: 1e-3")).augmentation.shear == 0.001


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("validation: 5000", "validation: 0", "split.validation: found 0 (int). Input should be greater than or equal"),
        ("validation: 5000", "validation: '5000'", "split.validation: found '5000' (str). Input should be a valid int"),
        ("validation: 5000", "validatoin: 5000", "split.validatoin: unknown key. Did you mean 'validation'?"),
        ("validation: 5000", "validatoin: 5000", "split.validation: missing."),
        ("shear: 0.2", "shear: .nan", "augmentation.shear: found nan (float). Input should be"),
        ("threads: 2", "threads: true", "runtime.threads: found True (bool). Input should be a valid integer"),
        ("seed: 42 ", "seed: -1 ", "seed: found -1 (int). Input should be greater than or equal to 0"),
        ("dataset: mnist", "datasets: mnist", "datasets: unknown key. Did you mean 'dataset'? Allowed: dataset, seed,"),
        ("dataset: mnist", "dataset: mnist\ndataset: digits", 'found duplicate key "dataset"'),
        ("dataset: mnist", "dataset: [mnist", "is not valid YAML"),
    ],
)
def test_names_the_key_what_was_found_and_what_is_allowed(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert "params.yaml" in str(caught.value)
    assert message in str(caught.value)


def test_missing_and_empty_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found\. Run this from the repository"):
        params.load(tmp_path / "params.yaml")
    with pytest.raises(InputError, match="expected sections"):
        load(tmp_path, "")
