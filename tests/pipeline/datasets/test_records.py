from dataclasses import FrozenInstanceError
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from torchvision import datasets as torchvision

from digits.errors import InputError
from pipeline.datasets import records
from pipeline.datasets.records import FOLDER, RECORDS, File

PUBLISHED = {name: record for name, record in RECORDS.items() if name != FOLDER}
LENGTHS = {"SHA-256": 64, "MD5": 32, "SHA-256 of the content": 64}


@pytest.mark.parametrize("name", PUBLISHED)
def test_record_is_complete(name: str) -> None:
    record = RECORDS[name]
    assert all((record.title, record.origin, record.licence, record.citation, record.files))
    assert record.train >= record.test > 0
    assert len(set(record.classes)) == len(record.classes) >= 10
    assert bool(record.mirrors) != bool(record.bundled)
    for mirror in record.mirrors:
        assert urlparse(mirror).scheme == "https"
        assert mirror.endswith("/")
    for file in record.files:
        assert len(file.checksum) == LENGTHS[file.kind]
        assert int(file.checksum, 16)


def test_titles_state_the_number_of_images() -> None:
    for name, record in PUBLISHED.items():
        assert name == "qmnist" or f"{record.train + record.test:,}" in record.title, name


def test_digits_are_prepared_at_28x28() -> None:
    digits = {name for name, record in RECORDS.items() if record.digits}
    assert digits == {"mnist", "emnist_digits", "qmnist", "usps", "digits"}
    assert {RECORDS[name].shape for name in digits} == {(1, 28, 28)}
    assert all(RECORDS[name].classes == tuple("0123456789") for name in digits)


def test_facts_agree_with_torchvision() -> None:
    assert RECORDS["fashion_mnist"].classes == tuple(torchvision.FashionMNIST.classes)
    assert RECORDS["kmnist"].classes == tuple(torchvision.KMNIST.classes)
    assert RECORDS["emnist_balanced"].classes == tuple(torchvision.EMNIST.classes_split_dict["balanced"])
    letters = torchvision.EMNIST.classes_split_dict["letters"][1:]
    assert [name.lower() for name in RECORDS["emnist_letters"].classes] == letters
    md5 = {f"{Path(url).name}": md5 for files in torchvision.QMNIST.resources.values() for url, md5 in files}
    md5 |= {file: md5 for _, file, md5 in torchvision.USPS.split_list.values()}
    found = {file.name: file.checksum for record in PUBLISHED.values() for file in record.files if file.kind == "MD5"}
    assert len(found) == 4
    assert found == {name: md5[name] for name in found}


def test_qmnist_has_the_training_files_of_mnist() -> None:
    assert RECORDS["qmnist"].files[:2] == RECORDS["mnist"].files[:2]
    assert set(RECORDS["mnist"].mirrors) < set(RECORDS["qmnist"].mirrors)
    assert RECORDS["qmnist"].train == RECORDS["qmnist"].test == RECORDS["mnist"].train == 60_000


def test_sets_of_emnist_share_one_archive() -> None:
    found = [record for name, record in RECORDS.items() if name.startswith("emnist")]
    assert len({record.files for record in found}) == len({record.source for record in found}) == 1


def test_scikit_learn_s_digits_are_split_in_their_order() -> None:
    from sklearn.datasets import load_digits

    found, reference = RECORDS["digits"].bundled(), load_digits()
    images = np.concatenate([found["train_images"], found["test_images"]])
    assert np.array_equal(np.concatenate([found["train_labels"], found["test_labels"]]), reference.target)
    assert np.abs(images / 255 - reference.images / 16).max() < 0.002
    assert len(found["train_images"]) == RECORDS["digits"].train == 1437


def test_the_record_of_a_folder_is_empty_until_its_images_are_described() -> None:
    record = RECORDS[FOLDER]
    assert (record.train, record.test, record.files, record.classes) == (0, 0, (), ())


def test_checksum_is_shown_with_its_kind_unless_it_is_sha_256() -> None:
    assert str(File("a", "12")) == "12"
    assert str(File("a", "12", "MD5")) == "12 (MD5)"


def test_records_cannot_be_changed() -> None:
    for record in (RECORDS["mnist"], RECORDS["mnist"].files[0]):
        with pytest.raises(FrozenInstanceError):
            record.title = record.name = ""


def test_unknown_dataset() -> None:
    with pytest.raises(InputError, match=r"dataset: found 'minst'. Did you mean 'mnist'\? Allowed: mnist, fashion_"):
        records.get("minst")
    with pytest.raises(InputError, match=r"dataset: found 'imagenette'. Allowed: mnist"):
        records.get("imagenette")
