import numpy as np
import pytest

from digits import ink
from digits.model import Classifier
from digits.recognise import recognise_digits
from digits.segmentation import segment
from tests.digits.conftest import draw_text


@pytest.mark.parametrize("digit", range(10))
def test_each_digit_is_recognised(classifier: Classifier, digit: int) -> None:
    found = recognise_digits(classifier, draw_text(str(digit), size=(200, 200)))
    assert [one.digit for one in found] == [digit]
    assert found[0].probability == pytest.approx(max(found[0].probabilities))
    assert found[0].image.shape == (28, 28)


def test_a_row_of_digits_is_recognised_with_its_boxes(classifier: Classifier) -> None:
    found = recognise_digits(classifier, draw_text("3141592653"))
    assert "".join(str(one.digit) for one in found) == "3141592653"
    lefts = [one.box[0] for one in found]
    assert lefts == sorted(lefts)
    for number, one in enumerate(found):
        left, top, right, bottom = one.box
        start = 40 + number * 64
        assert start - 5 <= left < right <= start + 50
        assert 60 <= top < bottom <= 140


def test_boxes_are_in_pixels_of_the_original_picture(classifier: Classifier) -> None:
    small = draw_text("27")
    large = np.kron(small, np.ones((4, 4), np.float32))
    found, again = recognise_digits(classifier, small), recognise_digits(classifier, large)
    assert len(found) == 2
    for one, other in zip(found, again, strict=True):
        assert one.digit == other.digit
        assert np.allclose(4 * np.array(one.box), other.box, atol=14)


@pytest.mark.parametrize(
    ("text", "gap", "sides"),
    [("2", 0.6, [320]), ("27", 0.6, [320]), ("82", -0.1, [320, 640]), ("3141592653", 0.6, [320, 640])],
)
def test_a_larger_scale_is_used_only_for_touching_or_small_digits(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, text: str, gap: float, sides: list[int]
) -> None:
    used = []
    find = ink.find
    monkeypatch.setattr(ink, "find", lambda grey: used.append(max(grey.shape)) or find(grey))
    large = np.kron(draw_text(text, gap=gap, size=(200, 700 if len(text) > 3 else 200)), np.ones((4, 4), np.float32))
    assert "".join(str(one.digit) for one in recognise_digits(classifier, large)) == text
    assert used == sides


@pytest.mark.parametrize("text", ["53", "82", "60"])
def test_touching_digits_are_split(classifier: Classifier, text: str) -> None:
    grey = draw_text(text, gap=-0.1, size=(200, 200))
    assert len(segment(ink.find(grey))) == 1
    assert "".join(str(one.digit) for one in recognise_digits(classifier, grey)) == text


def test_blank_paper_and_noise_have_no_digits(classifier: Classifier) -> None:
    rng = np.random.default_rng(0)
    assert recognise_digits(classifier, np.full((100, 100), 0.8, np.float32)) == []
    assert recognise_digits(classifier, np.ones((28, 28), np.float32)) == []
    assert recognise_digits(classifier, np.zeros((28, 28), np.float32)) == []
    assert (
        recognise_digits(classifier, (0.7 + 0.02 * rng.standard_normal((200, 300))).clip(0, 1).astype(np.float32)) == []
    )
    assert recognise_digits(classifier, rng.random((100, 100), np.float32)) == []


def test_boxes_do_not_exceed_the_picture(classifier: Classifier) -> None:
    """At the smallest scale these pictures have 239.9 and 240.7 rows, rounded to 240 and 241."""
    for height in (2999, 3009):
        strip = np.full((height, 4000), 0.9, np.float32)
        strip[-1000:, 1900:2050] = 0.1
        (digit,) = recognise_digits(classifier, strip)
        assert digit.digit == 1
        assert digit.box[3] == height


def test_a_page_of_letters_has_no_digits_and_takes_one_model_call_per_scale(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = np.full((960, 1280), 0.9, np.float32)
    for top in range(20, 900, 90):
        for left in range(20, 1200, 90):
            for column, row in ((0, 0), (15, 50), (30, 15), (45, 50), (60, 0)):
                page[top + row : top + row + 12, left + column : left + column + 12] = 0.1
            page[top + 20 : top + 26, left : left + 72] = 0.1
    calls = []
    infer = Classifier.infer
    monkeypatch.setattr(Classifier, "infer", lambda self, images: calls.append(len(images)) or infer(self, images))
    assert recognise_digits(classifier, page) == []
    assert 1 <= len(calls) <= 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 2), (10, 1000), (2000, 3)])
def test_boxes_are_inside_pictures_of_extreme_sizes(classifier: Classifier, shape: tuple[int, int]) -> None:
    for seed in range(5):
        grey = np.random.default_rng(seed).random(shape, np.float32)
        for one in recognise_digits(classifier, grey):
            assert 0 <= one.box[0] < one.box[2] <= shape[1]
            assert 0 <= one.box[1] < one.box[3] <= shape[0]
