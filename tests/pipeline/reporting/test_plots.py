from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pipeline.reporting import plots

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 28, 28), np.uint8)
LABELS = np.arange(23) % 10

BINS = [
    {"from": 0.4, "to": 0.5, "images": 3, "confidence": 0.45, "accuracy": 0.3},
    {"from": 0.9, "to": 1.0, "images": 900, "confidence": 0.98, "accuracy": 0.99},
]
KEYS = ("model", "validation_accuracy", "test_accuracy", "test_accuracy_low", "test_accuracy_high")
ROWS = [dict(zip(KEYS, row, strict=True)) for row in (("a", 0.99, 0.98, 0.97, 0.99), ("b", 0.9, 0.91, 0.89, 0.93))]
PART = {"slice": "thin", "images": 20, "accuracy": 0.9, "accuracy_low": 0.7, "accuracy_high": 0.97}
PARTS = {"stroke_width": [PART, {"slice": "thick", "images": 0}], "size": [PART]}
TRIAL = {"number": 0, "params": {"C": 1.0, "leaf": 3}, "state": "complete", "scores": [{"accuracy": 0.9}]}
RECORD = {
    "model": "svm",
    "ranges": {"C": {"low": 0.1, "high": 10.0, "log": True}, "leaf": {"low": 1, "high": 5, "log": False}},
    "importance": {"C": 0.7, "leaf": 0.3},
    "best": TRIAL,
    "trials": [TRIAL, {"number": 1, "params": {"C": 0.1, "leaf": 5}, "state": "pruned", "scores": []}],
}


def figures() -> dict[str, Callable[[], Figure]]:
    counts = {"train": [10] * 10, "validation": [2] * 10, "test": [3] * 10}
    series = {"train": ([1, 2, 3], [0.9, 0.95, 1.0]), "validation": ([1, 2, 3], [0.8, 0.9, 0.93])}
    return {
        "class_balance": lambda: plots.class_balance(counts),
        "samples": lambda: plots.samples(IMAGES, LABELS, 4),
        "mean_and_spread": lambda: plots.mean_and_spread(IMAGES, LABELS),
        "intensity": lambda: plots.intensity(IMAGES),
        "embedding": lambda: plots.embedding(np.random.default_rng(0).random((23, 2)), LABELS),
        "confusion": lambda: plots.confusion(np.eye(10, dtype=int) * 5, "title"),
        "gallery": lambda: plots.gallery(IMAGES, [str(n) for n in range(23)], "title"),
        "no_gallery": lambda: plots.gallery(IMAGES[:0], [], "title"),
        "curves": lambda: plots.curves(series, "title", "epoch"),
        "reliability": lambda: plots.reliability(BINS, "title"),
        "slices": lambda: plots.slices(PARTS, "title"),
        "costs": lambda: plots.costs(["a", "b"], [1.0, 9.0], {"bytes": [10, 1000], "ms": [0.1, 0.2]}),
        "search": lambda: plots.search(RECORD),
        "leaderboard": lambda: plots.leaderboard(ROWS),
        "corruptions": lambda: plots.corruptions(
            {"blur": IMAGES[:12].reshape(3, 4, 28, 28), "fog": IMAGES[11:].reshape(3, 4, 28, 28)}
        ),
    }


@pytest.mark.parametrize("name", figures())
def test_same_input_same_bytes(name: str, tmp_path: Path) -> None:
    for copy in ("1", "2"):
        plots.save(figures()[name](), tmp_path / copy / "picture.png")
    assert (tmp_path / "1/picture.png").read_bytes() == (tmp_path / "2/picture.png").read_bytes()
    picture = np.asarray(Image.open(tmp_path / "1/picture.png").convert("L"))
    assert picture.std() > 1, "an empty picture"
    assert b"matplotlib" not in (tmp_path / "1/picture.png").read_bytes().lower()


def test_gallery_shows_each_image_under_its_caption() -> None:
    figure = plots.gallery(IMAGES, [f"caption {n}" for n in range(23)], "title")
    axes = figure.axes[0]
    wall = 255 - np.asarray(axes.images[0].get_array())
    assert np.array_equal(wall[12:40, :28], IMAGES[0])
    assert np.array_equal(wall[2 * 40 + 12 :, 2 * 28 : 3 * 28], IMAGES[22])
    assert [text.get_text() for text in axes.texts] == [f"caption {n}" for n in range(23)]


def test_confusion_names_actual_and_predicted() -> None:
    matrix = np.zeros((10, 10), int)
    matrix[4, 9] = 7
    axes = plots.confusion(matrix, "title").axes[0]
    assert [(text.get_position(), text.get_text()) for text in axes.texts] == [((9, 4), "7")]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "actual")


def test_the_leaderboard_shows_errors_with_their_intervals() -> None:
    axes = plots.leaderboard(ROWS).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in axes.texts] == ["1.00%", "10.00%", "2.00%", "9.00%"]
    ends = [line.get_xdata() for line in axes.lines]
    assert ends == [pytest.approx([1, 7]), pytest.approx([3, 11])]


def test_parts_show_errors_with_their_intervals_and_no_empty_part() -> None:
    above = plots.slices(PARTS, "title").axes[0]
    assert [label.get_text() for label in above.get_yticklabels()] == ["thin (n = 20)"]
    line, caps, _ = above.containers[0].lines
    assert line.get_xdata() == pytest.approx([10])
    assert [cap.get_xdata()[0] for cap in caps] == pytest.approx([3, 30])


def test_a_search_runs_from_the_low_ends_to_the_high_ones() -> None:
    lines = plots.search(RECORD).axes[1].lines
    pruned, complete = lines[0], lines[1]
    assert pruned.get_ydata() == pytest.approx([0, 1])
    assert complete.get_ydata()[:2] == pytest.approx([0.5, 0.5])
    assert complete.get_linestyle() == "--"
