import functools
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
DIGITS = [str(digit) for digit in range(10)]

CLOTHES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
SPECIES = ["cash $5 and $6", "猫", "a very long name, which nobody can read", *(f"species {n}" for n in range(3, 47))]
DATASETS = {  # the names of the classes, and the shape of an image
    "clothes": (CLOTHES, (28, 28)),
    "3 classes": (["cat", "dog", "guinea pig"], (40, 24, 3)),
    "47 classes": (SPECIES, (64, 64, 3)),
    "300 classes": ([str(n) for n in range(300)], (8, 20, 3)),
    "large": (["a", "b"], (300, 280, 3)),
    "high": (["a", "b"], (90, 10)),
}

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
        "class_balance": lambda: plots.class_balance(counts, DIGITS, digits=True),
        "samples": lambda: plots.samples(IMAGES, LABELS, DIGITS, 4, digits=True),
        "mean_and_std": lambda: plots.mean_and_std(IMAGES, LABELS, DIGITS),
        "intensity": lambda: plots.intensity(IMAGES),
        "embedding": lambda: plots.embedding(np.random.default_rng(0).random((23, 2)), LABELS, DIGITS),
        "confusion": lambda: plots.confusion(np.eye(10, dtype=int) * 5, "title", DIGITS),
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
    } | {f"{plot} of 3 classes": functools.partial(draw, *DATASETS["3 classes"]) for plot, draw in OF_CLASSES.items()}


def made(classes: list[str], size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return two random images of each class, and their labels."""
    labels = np.tile(np.arange(len(classes), dtype=np.uint16), 2)
    return np.random.default_rng(0).integers(0, 256, (len(labels), *size), np.uint8), labels


def of_class_balance(classes: list[str], size: tuple[int, ...]) -> Figure:
    counts = np.arange(len(classes)) + 1
    return plots.class_balance({"train": counts, "validation": counts, "test": counts}, classes, digits=False)


def of_samples(classes: list[str], size: tuple[int, ...]) -> Figure:
    return plots.samples(*made(classes, size), classes, 3, digits=False)


def of_mean_and_std(classes: list[str], size: tuple[int, ...]) -> Figure:
    return plots.mean_and_std(*made(classes, size), classes)


def of_pixel_values(classes: list[str], size: tuple[int, ...]) -> Figure:
    return plots.intensity(made(classes, size)[0], digits=False)


def of_embedding(classes: list[str], size: tuple[int, ...]) -> Figure:
    _, labels = made(classes, size)
    return plots.embedding(np.random.default_rng(0).random((len(labels), 2)), labels, classes)


def of_confusion(classes: list[str], size: tuple[int, ...]) -> Figure:
    matrix = np.random.default_rng(0).integers(0, 50, (len(classes), len(classes)))
    return plots.confusion(matrix, "title", classes)


def of_gallery(classes: list[str], size: tuple[int, ...]) -> Figure:
    images = made(classes, size)[0][:13]
    return plots.gallery(images, [f"{classes[0]} → {classes[1]}  0.97"] * len(images), "title", digits=False)


def of_slices(classes: list[str], size: tuple[int, ...]) -> Figure:
    rows = [PART | {"slice": name, "accuracy": 0.96 - n / 2000} for n, name in enumerate(classes)]
    return plots.slices({"class": rows}, "title")


OF_CLASSES = {
    "class balance": of_class_balance,
    "samples": of_samples,
    "mean and std": of_mean_and_std,
    "pixel values": of_pixel_values,
    "embedding": of_embedding,
    "confusion": of_confusion,
    "gallery": of_gallery,
    "slices": of_slices,
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


def test_confusion_matrix_has_actual_classes_in_rows() -> None:
    matrix = np.zeros((10, 10), int)
    matrix[4, 9] = 7
    axes = plots.confusion(matrix, "title", CLOTHES).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == CLOTHES
    assert [label.get_text() for label in axes.get_xticklabels()] == CLOTHES
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


@pytest.mark.parametrize("name", DATASETS)
def test_every_plot_of_classes_fits_into_its_figure(name: str) -> None:
    for plot, draw in OF_CLASSES.items():
        figure = draw(*DATASETS[name])
        figure.dpi = plots.DPI
        plots.to_png(figure)
        assert max(figure.get_size_inches()) <= 17
        (width, height), box = figure.get_size_inches(), figure.get_tightbbox()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.02, f"{plot}: {box}"  # inches


def test_names_of_classes_are_shortened_or_numbered_where_they_cannot_be_drawn() -> None:
    assert plots.drawable(["Ankle boot", "猫", "élan", "a very long name, which nobody can read"]) == [
        *("Ankle boot", "#1", "élan"),
        "a very lo…n read"[:10] + " can read",
    ]
    labels = of_confusion(*DATASETS["47 classes"]).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels[:4]] == [r"cash \$5 and \$6", "#1", "a very lo… can read", "species 3"]


def test_confusion_matrix_of_many_classes_has_the_largest_counts_only() -> None:
    matrix = np.arange(47 * 47).reshape(47, 47) + 1
    written = [text.get_position() for text in plots.confusion(matrix, "title", SPECIES).axes[0].texts]
    errors = [(column, row) for column, row in written if column != row]
    assert len(errors) == plots.MAX_COUNTS
    assert all(row >= 44 for _, row in errors)
    assert len(written) - len(errors) == 47
    assert not of_confusion(*DATASETS["300 classes"]).axes[0].texts


def test_samples_have_a_row_per_class_of_at_most_fifty_classes() -> None:
    figure = of_samples(*DATASETS["clothes"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == CLOTHES
    images, _ = made(*DATASETS["clothes"])
    mosaic = np.asarray(axes.images[0].get_array())
    assert np.array_equal(mosaic[2:30, :28], images[0])
    assert np.array_equal(mosaic[2:30, 30:58], images[10])
    assert (mosaic[2:30, 60:88] == 255).all()  # there are only two
    title = of_samples(*DATASETS["300 classes"]).get_suptitle()
    assert title == "Training images, one row per class (50 of 300 classes)"
    assert plots.samples(IMAGES, LABELS, DIGITS, 2, digits=True).axes[0].get_title().endswith("one row per digit")


def test_mean_and_std_are_those_of_the_images_of_a_class() -> None:
    images, labels = made(*DATASETS["3 classes"])
    axes = plots.mean_and_std(images, labels, ["cat", "dog", "guinea pig"]).axes
    chosen = images[labels == 1].astype(float)
    assert np.array_equal(axes[1].images[0].get_array(), chosen.mean(axis=0).round())
    assert np.allclose(axes[4].images[0].get_array(), chosen.std(axis=0).mean(axis=2))
    axes = plots.mean_and_std(IMAGES, LABELS, DIGITS).axes
    assert np.allclose(axes[12].images[0].get_array(), IMAGES[LABELS == 2].std(axis=0))


def test_pixel_values_are_counted_in_each_channel() -> None:
    images = np.zeros((1500, 2, 2, 3), np.uint8)
    images[..., 2] = 200
    counts = plots.histogram(images)
    assert counts.shape == (3, 256)
    assert [counts[0, 0], counts[2, 0], counts[2, 200]] == [6000, 0, 6000]
    legend = plots.intensity(images, digits=False).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["red", "green", "blue"]


def test_only_grey_digits_are_drawn_inverted() -> None:
    images, _ = made(*DATASETS["clothes"])
    for digits in (True, False):
        drawn = np.asarray(plots.gallery(images[:1], [""], "title", digits=digits).axes[0].images[0].get_array())
        assert np.array_equal(drawn[12:40, :28], 255 - images[0]) == digits
    colour, _ = made(*DATASETS["3 classes"])
    drawn = np.asarray(plots.gallery(colour[:1], [""], "title").axes[0].images[0].get_array())
    assert np.array_equal(drawn[-40:, :24], colour[0])


def test_long_captions_are_wrapped() -> None:
    texts = of_gallery(*DATASETS["clothes"]).axes[0].texts
    assert texts[0].get_text() == "T-shirt/top →\nTrouser  0.97"
    longest = max(of_gallery(*DATASETS["47 classes"]).axes[0].texts[0].get_text().split("\n"), key=len)
    assert len(longest) <= plots.CAPTION_WIDTH + 2  # two dollar signs are escaped


def test_slices_of_many_classes_are_the_worst() -> None:
    axes = of_slices(*DATASETS["300 classes"]).axes[0]
    assert axes.get_ylabel() == "class (50 worst of 300)"
    assert [label.get_text().split()[0] for label in axes.get_yticklabels()] == [str(n) for n in range(250, 300)]
