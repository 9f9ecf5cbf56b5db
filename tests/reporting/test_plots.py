from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pipeline.reporting import plots

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 28, 28), np.uint8)
LABELS = np.arange(23) % 10


def figures() -> dict[str, Figure]:
    counts = {"train": [10] * 10, "validation": [2] * 10, "test": [3] * 10}
    series = {"train": ([1, 2, 3], [0.9, 0.95, 1.0]), "validation": ([1, 2, 3], [0.8, 0.9, 0.93])}
    return {
        "class_balance": plots.class_balance(counts),
        "samples": plots.samples(IMAGES, LABELS, 4),
        "mean_and_spread": plots.mean_and_spread(IMAGES, LABELS),
        "intensity": plots.intensity(IMAGES),
        "embedding": plots.embedding(np.random.default_rng(0).random((23, 2)), LABELS),
        "confusion": plots.confusion(np.eye(10, dtype=int) * 5, "title"),
        "gallery": plots.gallery(IMAGES, [str(n) for n in range(23)], "title"),
        "no_gallery": plots.gallery(IMAGES[:0], [], "title"),
        "curves": plots.curves(series, "title", "epoch"),
        "corruptions": plots.corruptions(
            {"blur": IMAGES[:12].reshape(3, 4, 28, 28), "fog": IMAGES[11:].reshape(3, 4, 28, 28)}
        ),
        "heat_map": plots.heat_map(["a", "b"], ["blur", "fog"], np.array([[0.99, 0.5], [0.9, 0.1]])),
        "leaderboard": plots.leaderboard(["a", "b"], [0.99, 0.9], [0.98, 0.91]),
    }


@pytest.mark.parametrize("name", figures())
def test_same_input_same_bytes(name: str, tmp_path: Path) -> None:
    for copy in ("1", "2"):
        plots.save(figures()[name], tmp_path / copy / "picture.png")
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


def test_heat_map_has_a_number_per_model_and_corruption() -> None:
    axes = plots.heat_map(["a", "b"], ["blur", "fog", "shift"], np.array([[0.99, 0.5, 1], [0.9, 0.12, 0]])).axes[0]
    assert [(text.get_position(), text.get_text()) for text in axes.texts] == [
        *(((0, 0), "99"), ((1, 0), "50"), ((2, 0), "100")),
        *(((0, 1), "90"), ((1, 1), "12"), ((2, 1), "0")),
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["blur", "fog", "shift"]
