import numpy as np
import pytest

from pipeline import reading
from pipeline.artifact import Classifier
from pipeline.imaging import ink, segment
from tests.conftest import ROOT

# Strokes of each digit as a hand draws them, in a box one wide and one and a half high.
STROKES = {
    0: [[(0.5, 0), (0.1, 0.3), (0.05, 0.8), (0.2, 1.3), (0.5, 1.5), (0.8, 1.3), (0.95, 0.8), (0.9, 0.3), (0.5, 0)]],
    1: [[(0.3, 0.3), (0.55, 0), (0.55, 1.5)]],
    2: [[(0.1, 0.3), (0.3, 0.05), (0.7, 0.05), (0.85, 0.35), (0.6, 0.8), (0.1, 1.45), (0.9, 1.45)]],
    3: [[(0.1, 0.1), (0.8, 0.1), (0.45, 0.65), (0.8, 0.85), (0.85, 1.2), (0.5, 1.5), (0.1, 1.35)]],
    4: [[(0.6, 0), (0.1, 0.95), (0.95, 0.95)], [(0.65, 0.5), (0.65, 1.5)]],
    5: [[(0.85, 0.05), (0.2, 0.05), (0.15, 0.65), (0.6, 0.6), (0.85, 0.95), (0.6, 1.4), (0.1, 1.4)]],
    6: [[(0.7, 0), (0.3, 0.5), (0.1, 1.0), (0.3, 1.45), (0.7, 1.4), (0.8, 1.05), (0.5, 0.8), (0.15, 1.0)]],
    7: [[(0.1, 0.05), (0.9, 0.05), (0.4, 1.5)]],
    8: [[(0.5, 0.7), (0.15, 0.35), (0.5, 0), (0.85, 0.35), (0.5, 0.7), (0.1, 1.1), (0.5, 1.5), (0.9, 1.1), (0.5, 0.7)]],
    9: [[(0.8, 0.35), (0.5, 0), (0.15, 0.35), (0.45, 0.7), (0.8, 0.4), (0.75, 1.5)]],
}


def written(text: str, height: int = 60, gap: float = 0.6, size: tuple[int, int] = (200, 700)) -> np.ndarray:
    """Return `text` written on uneven paper, (height, width) float32 in [0, 1]."""
    import cv2

    canvas, scale, left = np.zeros(size, np.uint8), height / 1.5, 40.0
    for digit in map(int, text):
        for stroke in STROKES[digit]:
            points = np.round(np.array(stroke) * scale + (left, 70)).astype(np.int32)
            cv2.polylines(canvas, [points], False, 255, max(2, height // 12), cv2.LINE_AA)
        left += scale * (1 + gap)
    light = np.linspace(0.9, 0.6, size[1])[None] * np.linspace(1, 0.8, size[0])[:, None]
    return (light * (1 - 0.8 * canvas / 255)).astype(np.float32)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(ROOT / "models/best")


@pytest.mark.parametrize("digit", range(10))
def test_reads_each_digit(classifier: Classifier, digit: int) -> None:
    found = reading.read(classifier, written(str(digit), size=(200, 200)))
    assert [one.digit for one in found] == [digit]
    assert found[0].probability == pytest.approx(max(found[0].probabilities))
    assert found[0].image.shape == (28, 28)


def test_reads_a_row_with_its_boxes(classifier: Classifier) -> None:
    found = reading.read(classifier, written("3141592653"))
    assert "".join(str(one.digit) for one in found) == "3141592653"
    lefts = [one.box[0] for one in found]
    assert lefts == sorted(lefts)
    for number, one in enumerate(found):
        left, top, right, bottom = one.box
        start = 40 + number * 64
        assert start - 5 <= left < right <= start + 50
        assert 60 <= top < bottom <= 140


def test_boxes_are_those_of_the_picture_however_large(classifier: Classifier) -> None:
    small = written("27")
    large = np.kron(small, np.ones((4, 4), np.float32))
    found, again = reading.read(classifier, small), reading.read(classifier, large)
    assert len(found) == 2
    for one, other in zip(found, again, strict=True):
        assert one.digit == other.digit
        assert np.allclose(4 * np.array(one.box), other.box, atol=14)


@pytest.mark.parametrize(
    ("text", "gap", "looks"),
    [("2", 0.6, [320]), ("27", 0.6, [320]), ("82", -0.1, [320, 640]), ("3141592653", 0.6, [320, 640])],
)
def test_looks_closer_only_where_a_glance_is_not_enough(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, text: str, gap: float, looks: list[int]
) -> None:
    """Digits that touch, or that are small when the whole picture is 320 pixels wide."""
    seen = []
    find = ink.find
    monkeypatch.setattr(ink, "find", lambda grey: seen.append(max(grey.shape)) or find(grey))
    large = np.kron(written(text, gap=gap, size=(200, 700 if len(text) > 3 else 200)), np.ones((4, 4), np.float32))
    assert "".join(str(one.digit) for one in reading.read(classifier, large)) == text
    assert seen == looks


@pytest.mark.parametrize("text", ["53", "82", "60"])
def test_cuts_digits_that_touch(classifier: Classifier, text: str) -> None:
    grey = written(text, gap=-0.1, size=(200, 200))
    assert len(segment.segment(ink.find(grey))) == 1
    assert "".join(str(one.digit) for one in reading.read(classifier, grey)) == text


def test_sees_no_digit_where_there_is_none(classifier: Classifier) -> None:
    rng = np.random.default_rng(0)
    assert reading.read(classifier, np.full((100, 100), 0.8, np.float32)) == []
    assert reading.read(classifier, np.ones((28, 28), np.float32)) == []
    assert reading.read(classifier, np.zeros((28, 28), np.float32)) == []
    assert reading.read(classifier, (0.7 + 0.02 * rng.standard_normal((200, 300))).clip(0, 1).astype(np.float32)) == []
    assert reading.read(classifier, rng.random((100, 100), np.float32)) == []


def test_a_box_ends_with_the_picture(classifier: Classifier) -> None:
    """The picture is shrunk to 239.9 and 240.7 rows, which are rounded."""
    for height in (2999, 3009):
        strip = np.full((height, 4000), 0.9, np.float32)
        strip[-1000:, 1900:2050] = 0.1
        (digit,) = reading.read(classifier, strip)
        assert digit.digit == 1
        assert digit.box[3] == height


def test_a_page_of_letters_is_no_row_of_digits(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes one question to the model a look, however many letters there are."""
    page = np.full((960, 1280), 0.9, np.float32)
    for top in range(20, 900, 90):
        for left in range(20, 1200, 90):
            for column, row in ((0, 0), (15, 50), (30, 15), (45, 50), (60, 0)):
                page[top + row : top + row + 12, left + column : left + column + 12] = 0.1
            page[top + 20 : top + 26, left : left + 72] = 0.1
    asked = []
    judge = Classifier.judge
    monkeypatch.setattr(Classifier, "judge", lambda self, images: asked.append(len(images)) or judge(self, images))
    assert reading.read(classifier, page) == []
    assert 1 <= len(asked) <= 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 2), (10, 1000), (2000, 3)])
def test_pictures_of_odd_sizes(classifier: Classifier, shape: tuple[int, int]) -> None:
    for seed in range(5):
        grey = np.random.default_rng(seed).random(shape, np.float32)
        for one in reading.read(classifier, grey):
            assert 0 <= one.box[0] < one.box[2] <= shape[1]
            assert 0 <= one.box[1] < one.box[3] <= shape[0]
