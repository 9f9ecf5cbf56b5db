import numpy as np

from pipeline import label_errors, params
from pipeline.datasets.arrays import LabelledImages


def test_most_wrong_labels_are_ranked_first(digits: LabelledImages, settings: params.Params) -> None:
    """30 of 1,000 training labels and 10 of 437 test labels are replaced; at least 80% of them must rank first."""
    how = params.LabelErrors(model="svm", folds=3, top_k=50)
    settings = settings.model_copy(update={"label_errors": how})
    rng = np.random.default_rng(0)
    labels = np.array(digits.labels)
    wrong = np.concatenate([rng.choice(1000, 30, replace=False), 1000 + rng.choice(437, 10, replace=False)])
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
    mislabelled = LabelledImages(digits.images, labels)
    train, test = mislabelled.first(1000), mislabelled.at(np.arange(1000, 1437))

    on_train, on_test = label_errors.predict(
        train,
        test,
        {"classes": list("0123456789"), "digits": True, "warp": 1, "horizontal_flip": False},
        settings,
    )
    for split, images, probabilities, offset in (("train", train, on_train, 0), ("test", test, on_test, 1000)):
        replaced = {row - offset for row in wrong if 0 <= row - offset < len(images)}
        found = label_errors.rank(split, images.labels, probabilities, len(replaced))
        assert len({entry["row"] for entry in found} & replaced) >= 0.8 * len(replaced)
        best = found[0]
        assert best["split"] == split
        assert best["label"] == images.labels[best["row"]]
        assert best["suggested"] == digits.labels[offset + best["row"]]
        assert [entry["margin"] for entry in found] == sorted(entry["margin"] for entry in found)


def test_only_labels_that_are_less_probable_than_another_are_listed() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.1, 0.9]])
    found = label_errors.rank("train", np.zeros(4, np.uint8), probabilities, 3)
    assert [(entry["row"], entry["suggested"]) for entry in found] == [(3, 1), (1, 1)]
