import numpy as np

from pipeline import params, suspects
from pipeline.datasets.arrays import LabelledImages
from tests.conftest import ROOT


def test_finds_labels_that_were_made_wrong(digits: LabelledImages) -> None:
    """30 of 1,000 train labels and 10 of 437 test labels are made wrong; nearly all are among the first."""
    settings = params.load(ROOT / "params.yaml")
    settings = settings.model_copy(update={"suspects": params.Suspects(model="svm", folds=3, shown=50)})
    rng = np.random.default_rng(0)
    labels = np.array(digits.labels)
    wrong = np.concatenate([rng.choice(1000, 30, replace=False), 1000 + rng.choice(437, 10, replace=False)])
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
    spoilt = LabelledImages(digits.images, labels)
    train, test = spoilt.first(1000), spoilt.at(np.arange(1000, 1437))

    on_train, on_test = suspects.read(train, test, settings)
    for split, images, probabilities, offset in (("train", train, on_train, 0), ("test", test, on_test, 1000)):
        made = {row - offset for row in wrong if 0 <= row - offset < len(images)}
        found = suspects.first(split, images.labels, probabilities, len(made))
        assert len({suspect["row"] for suspect in found} & made) >= 0.8 * len(made)
        best = found[0]
        assert best["split"] == split
        assert best["label"] == images.labels[best["row"]]
        assert best["suggested"] == digits.labels[offset + best["row"]]
        assert [suspect["score"] for suspect in found] == sorted(suspect["score"] for suspect in found)
