"""What a user gets for images of other datasets, in two ways: from the classifier, given each image in the form of
MNIST, and from the reader, given each image as a picture.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.external.datasets import LIKE_DIGITS, Content, Record
from benchmarks.external.formats import LabelledPictures
from digits.interface import SIZE
from digits.model import Classifier
from digits.normalise import MIN_CONTRAST, normalise
from digits.recognise import recognise_digits
from pipeline.scoring.coverage import selective
from pipeline.scoring.rounding import rounded
from pipeline.scoring.uncertainty import interval

INK = 0.5  # smallest amount of ink of a pixel that belongs to the symbol, relative to the largest
MARGIN = 0.25  # width of the margin of paper that is added in a second reading, relative to the longer side
TPR = 0.95  # fraction of the digits that the threshold of `false_positive_rate` accepts

Scores = dict[str, np.ndarray]  # by method: (n,) float, larger for digits


def evenly_spaced(images: int, limit: int | None) -> np.ndarray:
    """Return `limit` of the rows 0 to `images` - 1, evenly spaced; all of them if there are fewer, or without limit."""
    count = images if limit is None else min(images, limit)
    return np.arange(count) * images // max(count, 1)


def measure(
    classifier: Classifier, record: Record, found: LabelledPictures, rows: np.ndarray, digits: Scores | None
) -> list[dict[str, Any]]:
    """Return a result for each group of the images `rows` of a dataset: its content, number of images and scores.

    Args:
        classifier: the model.
        record: of the dataset.
        found: the dataset's images.
        rows: of the images to measure.
        digits: `scores` of known digits, with which outliers are compared.
    """
    labels = np.array([found.labels[row] for row in rows], object)
    grey = [found.grey(row) for row in rows]
    pictures = grey if record.ink == "dark" else [1 - image for image in grey]
    texts = np.array([text_in(classifier, picture) for picture in pictures], object)
    classified: tuple[np.ndarray, np.ndarray] | None = None
    if record.content != "pictures":
        symbols = grey if record.ink == "bright" else [1 - image for image in grey]
        images = symbols if record.like_mnist else [like_mnist(symbol) for symbol in symbols]
        classified = classifier.infer(np.stack(images)[:, None])
    results = []
    for name, content, chosen in groups(record.content, labels):
        result: dict[str, Any] = {"group": name, "content": content, "images": int(chosen.sum())}
        part = (classified[0][chosen], classified[1][chosen]) if classified else None
        if content == "digits":
            answered = texts[chosen] != ""
            result["reader"] = digit_scores(texts[chosen] == labels[chosen], answered)
            if record.content == "digits":
                wide = np.array([text_in(classifier, with_margin(picture)) for picture in pictures], object)[chosen]
                result["reader_with_margin"] = digit_scores(wide == labels[chosen], wide != "")
            if part:
                correct = part[0].argmax(axis=1).astype(str) == labels[chosen].astype(str)
                result["classifier"] = digit_scores(correct, classifier.accept(part[1]))
        else:
            result["reader"] = outlier_scores(texts[chosen] == "")
            if part:
                result["classifier"] = outlier_scores(~classifier.accept(part[1]))
            if part and digits:
                outliers = scores(*part)
                result["detection"] = {method: detection(digits[method], outliers[method]) for method in outliers}
        results.append(result)
    return results


def groups(content: Content, labels: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield the groups of images that are reported: name, whether they are digits or outliers, and (n,) bool.

    Args:
        content: of the dataset.
        labels: (n,) of its images.
    """
    found: list[tuple[str, str, np.ndarray]] = []
    lengths = np.array([len(label) for label in labels])
    if content == "pictures":
        found.append(("single digits", "digits", lengths == 1))
        found.append(("rows of digits", "digits", lengths > 1))
        found.append(("without digits", "outliers", lengths == 0))
    elif content == "letters":
        unlike = np.array([label.upper() not in LIKE_DIGITS for label in labels], bool)
        found.append(("all", "outliers", np.ones(len(labels), bool)))
        found.append(("letters unlike digits", "outliers", unlike))
    else:
        found.append(("all", content, np.ones(len(labels), bool)))
    yield from (group for group in found if group[2].any())


def text_in(classifier: Classifier, picture: np.ndarray) -> str:
    """Return the digits that the reader finds in `picture`, (height, width) float32 in [0, 1]; "" if none."""
    return "".join(str(digit.digit) for digit in recognise_digits(classifier, picture))


def with_margin(picture: np.ndarray) -> np.ndarray:
    """Return `picture`, dark ink on bright paper, with a margin of its brightest grey on all sides."""
    return np.pad(picture, round(MARGIN * max(picture.shape)), constant_values=picture.max())


def like_mnist(ink: np.ndarray) -> np.ndarray:
    """Return a symbol normalised as MNIST's digits are, (28, 28) float32 in [0, 1]; zeros if it has no contrast.

    Args:
        ink: (height, width) float32 in [0, 1], bright ink on dark.
    """
    amount = ink - ink.min()
    if amount.max() < MIN_CONTRAST:
        return np.zeros((SIZE, SIZE), np.float32)
    amount /= amount.max()
    return normalise(amount, amount > INK)


def scores(probabilities: np.ndarray, digitness: np.ndarray) -> Scores:
    """Return what an image's acceptance can depend on: the detector's digitness, and as baseline the maximum softmax
    probability (Hendrycks and Gimpel, 2017).
    """
    return {"digitness": digitness, "max_probability": probabilities.max(axis=1)}


def digit_scores(correct: np.ndarray, accepted: np.ndarray) -> dict[str, float]:
    """Return `selective` with the 95% interval of what is accepted and correct, and the fraction falsely rejected."""
    found = selective(correct, accepted)
    low, high = interval(int((correct & accepted).sum()), len(correct))
    return found | {
        "accepted_and_correct_low": low,
        "accepted_and_correct_high": high,
        "false_rejection_rate": rounded(1 - accepted.mean()),
    }


def outlier_scores(rejected: np.ndarray) -> dict[str, float]:
    """Return the fraction rejected with its 95% interval."""
    low, high = interval(int(rejected.sum()), len(rejected))
    return {"rejected": rounded(rejected.mean()), "rejected_low": low, "rejected_high": high}


def detection(digits: np.ndarray, outliers: np.ndarray) -> dict[str, float]:
    """Return how well a score separates digits from outliers, whatever the threshold: the area under the ROC curve, and
    the fraction of outliers accepted at the threshold that accepts 95% of the digits.
    """
    labels = np.repeat([1, 0], [len(digits), len(outliers)])
    threshold = np.quantile(digits, 1 - TPR, method="lower")
    return {
        "auroc": rounded(roc_auc_score(labels, np.concatenate([digits, outliers]))),
        "false_positive_rate": rounded((outliers >= threshold).mean()),
    }
