import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pipeline.reporting import plots

ROOT = Path(__file__).parents[3]
IMAGES = np.random.default_rng(0).integers(0, 256, (23, 28, 28), np.uint8)
LABELS = np.arange(23) % 10

BINS = [
    {"from": 0.4, "to": 0.5, "images": 3, "confidence": 0.45, "accuracy": 0.3},
    {"from": 0.9, "to": 1.0, "images": 900, "confidence": 0.98, "accuracy": 0.99},
]
KEYS = ("model", "validation_accuracy", "test_accuracy", "test_accuracy_low", "test_accuracy_high")
ROWS = [dict(zip(KEYS, row, strict=True)) for row in (("a", 0.99, 0.98, 0.97, 0.99), ("b", 0.9, 0.91, 0.89, 0.93))]
LEARNING = {
    "a": [
        {"images": 400, "accuracy": 0.9, "accuracy_std": 0.02},
        {"images": 800, "accuracy": 0.95, "accuracy_std": 0.01},
    ],
    "b": [
        {"images": 400, "accuracy": 0.8, "accuracy_std": 0.03},
        {"images": 800, "accuracy": 0.9, "accuracy_std": 0.2},
    ],
}
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
    series = {"train": ([1, 2, 3], [0.1, 0.05, 0.0]), "validation": ([1, 2, 3], [0.2, 0.1, 0.07])}
    return {
        "class_balance": lambda: plots.class_balance(counts),
        "samples": lambda: plots.samples(IMAGES, LABELS, 4),
        "mean_and_std": lambda: plots.mean_and_std(IMAGES, LABELS),
        "intensity": lambda: plots.intensity(IMAGES),
        "embedding": lambda: plots.embedding(np.random.default_rng(0).random((23, 2)), LABELS),
        "confusion": lambda: plots.confusion(np.eye(10, dtype=int) * 5, "title"),
        "gallery": lambda: plots.gallery(IMAGES, [str(n) for n in range(23)], "title"),
        "empty_gallery": lambda: plots.gallery(IMAGES[:0], [], "title"),
        "curves": lambda: plots.curves(series, "title", "epoch"),
        "reliability": lambda: plots.reliability(BINS, "title"),
        "slices": lambda: plots.slices(PARTS, "title"),
        "learning_curves": lambda: plots.learning_curves(LEARNING),
        "size": lambda: plots.size(["a", "b"], [0.01, 0.09], [10, 1000]),
        "size_without_errors": lambda: plots.size(["a", "b"], [0.0, 0.0], [10, 1000]),
        "search": lambda: plots.search(RECORD),
        "leaderboard": lambda: plots.leaderboard(ROWS),
        "corruptions": lambda: plots.corruptions(
            {"blur": IMAGES[:12].reshape(3, 4, 28, 28), "fog": IMAGES[11:].reshape(3, 4, 28, 28)}
        ),
    }


@pytest.mark.parametrize("name", figures())
def test_equal_input_gives_equal_bytes_under_any_matplotlibrc(name: str, tmp_path: Path) -> None:
    plots.save(figures()[name](), tmp_path / "1/picture.png")
    with matplotlib.rc_context(USERS_STYLE):
        plots.save(figures()[name](), tmp_path / "2/picture.png")
    assert (tmp_path / "1/picture.png").read_bytes() == (tmp_path / "2/picture.png").read_bytes()
    picture = np.asarray(Image.open(tmp_path / "1/picture.png").convert("L"))
    assert picture.std() > 1, "an empty picture"
    assert b"matplotlib" not in (tmp_path / "1/picture.png").read_bytes().lower()


USERS_STYLE = {
    "axes.facecolor": "pink",
    "axes.spines.top": True,
    "font.family": "serif",
    "font.size": 30,
    "image.interpolation": "bilinear",
    "lines.linewidth": 7,
    "savefig.bbox": "tight",
    "savefig.facecolor": "black",
    "xtick.minor.visible": True,
}


def test_import_and_drawing_leave_matplotlib_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 30\n")
    code = (
        "import matplotlib; before = dict(matplotlib.rcParams); assert before['font.size'] == 30\n"
        "from pipeline.reporting import plots; plots.to_png(plots.curves({}, 'title', 'epoch'))\n"
        "assert dict(matplotlib.rcParams) == before"
    )
    environment = os.environ | {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def test_gallery_draws_each_image_below_its_caption() -> None:
    figure = plots.gallery(IMAGES, [f"caption {n}" for n in range(23)], "title")
    axes = figure.axes[0]
    mosaic = 255 - np.asarray(axes.images[0].get_array())
    assert np.array_equal(mosaic[12:40, :28], IMAGES[0])
    assert np.array_equal(mosaic[2 * 40 + 12 :, 2 * 28 : 3 * 28], IMAGES[22])
    assert [text.get_text() for text in axes.texts] == [f"caption {n}" for n in range(23)]


def test_confusion_matrix_has_actual_digits_in_rows() -> None:
    matrix = np.zeros((10, 10), int)
    matrix[4, 9] = 7
    axes = plots.confusion(matrix, "title").axes[0]
    assert [(text.get_position(), text.get_text()) for text in axes.texts] == [((9, 4), "7")]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "actual")


def test_leaderboard_draws_error_rates_with_intervals() -> None:
    axes = plots.leaderboard(ROWS).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in axes.texts] == ["1.00%", "10.00%", "2.00%", "9.00%"]
    ends = [line.get_xdata() for line in axes.lines]
    assert ends == [pytest.approx([1, 7]), pytest.approx([3, 11])]


def test_slices_are_drawn_with_intervals_and_empty_ones_left_out() -> None:
    above = plots.slices(PARTS, "title").axes[0]
    assert [label.get_text() for label in above.get_yticklabels()] == ["thin (n = 20)"]
    line, caps, _ = above.containers[0].lines
    assert line.get_xdata() == pytest.approx([10])
    assert [cap.get_xdata()[0] for cap in caps] == pytest.approx([3, 30])


def test_search_draws_trials_between_the_ends_of_their_ranges() -> None:
    lines = plots.search(RECORD).axes[1].lines
    pruned, complete = lines[0], lines[1]
    assert pruned.get_ydata() == pytest.approx([0, 1])
    assert complete.get_ydata()[:2] == pytest.approx([0.5, 0.5])
    assert complete.get_linestyle() == "--"


def test_curves_draw_error_rates_in_percent() -> None:
    axes = figures()["curves"]().axes[0]
    assert [line.get_label() for line in axes.lines] == ["train", "validation"]
    assert axes.lines[1].get_ydata() == pytest.approx([20, 10, 7])
    assert axes.get_yscale() == "log"
    legend = (
        plots.curves({"train": ([1, 2], [0.0, 0.0]), "test": ([1, 2], [0.1, 0.0])}, "title", "epoch")
        .axes[0]
        .get_legend()
    )
    assert [text.get_text() for text in legend.get_texts()] == ["train (no errors)", "test"]


def test_learning_curves_draw_error_rates_with_one_std() -> None:
    axes = plots.learning_curves(LEARNING).axes[0]
    first, second = axes.containers
    line, (lower, upper), _ = first.lines
    assert line.get_ydata() == pytest.approx([10, 5])
    assert (lower.get_ydata(), upper.get_ydata()) == (pytest.approx([8, 4]), pytest.approx([12, 6]))
    assert line.get_xdata() == pytest.approx([400, 800], rel=0.02)
    assert (line.get_xdata() < second.lines[0].get_xdata()).all()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["400", "800"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_size_draws_test_errors_in_percent_against_kilobytes() -> None:
    axes = figures()["size"]().axes[0]
    assert axes.collections[0].get_offsets().tolist() == [[10, 1], [1000, 9]]
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert figures()["size_without_errors"]().axes[0].get_yscale() == "linear"


def test_reliability_draws_accuracy_against_confidence() -> None:
    above, below = plots.reliability(BINS, "title").axes
    assert above.collections[0].get_offsets().tolist() == [[0.45, 0.3], [0.98, 0.99]]
    assert [bar.get_height() for bar in below.patches] == [3, 900]
    assert (below.get_xlabel(), above.get_ylabel()) == ("confidence", "accuracy")
