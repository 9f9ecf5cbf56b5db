import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from digits import ink, recognise
from digits.model import Classifier
from digits.recognise import MAX_REJECTED, read, recognise_digits, summarise
from digits.segmentation import Reason, segment
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
    assert len(segment(ink.find(grey)).glyphs) == 1
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
    assert 1 <= len(calls) <= 8  # as a page at up to three scales, and as a crop of either polarity


def text(classifier: Classifier, grey: np.ndarray) -> str:
    return "".join(str(one.digit) for one in recognise_digits(classifier, grey))


def tight(grey: np.ndarray) -> np.ndarray:
    """Crop `grey` to its ink."""
    rows, columns = np.nonzero(ink.find(grey).mask)
    return grey[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


@pytest.mark.parametrize("bright", [False, True], ids=["dark ink", "bright ink"])
@pytest.mark.parametrize("size", [None, (32, 32), (16, 16), (100, 160)], ids=str)
def test_tight_crops_are_recognised(classifier: Classifier, size: tuple[int, int] | None, bright: bool) -> None:
    right = 0
    for digit in range(10):
        grey = tight(draw_text(str(digit), size=(200, 200)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if size else grey
        right += text(classifier, 1 - grey if bright else grey) == str(digit)
    assert right >= 9


def test_a_tight_crop_may_be_unevenly_lit(classifier: Classifier) -> None:
    right = 0
    for digit in range(10):
        grey = cv2.resize(tight(draw_text(str(digit), size=(200, 200))), None, fx=2, fy=2)
        y, x = (np.linspace(-0.15, 0.15, side) for side in grey.shape)
        paper = 0.7 * (1 + x + y[:, None])
        right += text(classifier, np.where(grey > 0.3, paper, 0.5 * paper).astype(np.float32)) == str(digit)
    assert right >= 8


@pytest.mark.parametrize(("side", "expected"), [(36, ""), (80, "11")])
def test_small_square_pictures_have_one_digit_at_most(classifier: Classifier, side: int, expected: str) -> None:
    grey = np.full((36, side), 0.9, np.float32)
    grey[6:30, 9:12] = grey[6:30, 22:25] = 0.1
    digits, rejected = read(classifier, grey)
    assert "".join(str(one.digit) for one in digits) == expected
    assert {each.reason for each in rejected} == (set() if expected else {Reason.TOO_SMALL})


@pytest.mark.parametrize(("confidences", "expected"), [((0.7, 0.6), 1), ((0.6, 0.7), 7)])
def test_the_more_confident_of_two_views_of_a_digit_is_returned(
    confidences: tuple[float, float], expected: int
) -> None:
    """The second view, enlarged, has wider strokes, which must not count as more digits."""
    grey = np.ones((60, 60), np.float32)
    cv2.polylines(grey, [np.array([[24, 22], [32, 15], [32, 45]])], False, 0.0, 1)
    answers = iter(zip((1, 7), confidences, strict=True))

    class Answers:
        """Answers 1, then 7, with the given confidences."""

        def infer(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            digit, confidence = next(answers)
            return np.tile(np.eye(10)[digit] * confidence, (len(images), 1)), np.ones(len(images))

        def accept(self, digitness: np.ndarray) -> np.ndarray:
            return digitness > 0.3

    assert [one.digit for one in recognise_digits(Answers(), grey)] == [expected]
    assert next(answers, None) is None


@pytest.mark.parametrize(("side", "widths"), [(16, 2), (38, 2), (200, 1)])
def test_only_very_small_pictures_are_also_read_narrowed(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, side: int, widths: int
) -> None:
    calls, classify = [], recognise.classify
    monkeypatch.setattr(
        recognise,
        "classify",
        lambda model, glyphs, images: calls.append(len(images)) or classify(model, glyphs, images),
    )
    stretched = cv2.resize(tight(draw_text("3", size=(200, 200))), (side, side), None, 0, 0, cv2.INTER_AREA)
    assert text(classifier, stretched) == "3"
    assert calls[0] == widths


def test_a_tight_row_is_recognised(classifier: Classifier) -> None:
    assert text(classifier, tight(draw_text("8245"))) == "8245"
    assert text(classifier, (tight(draw_text("8245")) > 0.3).astype(np.float32)) == "8245"


def test_images_of_8x8_pixels_are_recognised(classifier: Classifier) -> None:
    digits = load_digits()
    found = [text(classifier, (image / 16).astype(np.float32)) for image in digits.images[:50]]
    assert np.mean(found == digits.target[:50].astype(str)) >= 0.9


@pytest.mark.parametrize("slope", [-0.3, 0.3])
def test_a_row_may_fall_or_rise(classifier: Classifier, slope: float) -> None:
    matrix = np.array([[1, 0, 0], [slope, 1, 100 - 250 * slope]])
    grey = 1 - cv2.warpAffine(1 - draw_text("28538"), matrix, (500, 400), borderValue=0.2)
    assert text(classifier, grey) == "28538"


def test_the_cells_of_a_form_are_not_digits(classifier: Classifier) -> None:
    grey = draw_text("2753")
    for left in range(28, 28 + 4 * 64, 64):
        cv2.rectangle(grey, (left, 55), (left + 64, 145), 0.1, 2)
    assert text(classifier, grey) == "2753"


def test_rejected_ink_has_a_reason(classifier: Classifier) -> None:
    grey = draw_text("3", size=(200, 300))
    grey[100:112, 200:212] = 0.1
    grey[:, 290:] = 0.1
    digits, rejected = read(classifier, grey)
    assert [one.digit for one in digits] == [3]
    assert {each.reason for each in rejected} == {Reason.TOO_SMALL, Reason.AT_EDGE}
    assert rejected[0].to_dict() == {"box": list(rejected[0].box), "digitness": None, "reason": str(Reason.AT_EDGE)}
    assert rejected[0].box == pytest.approx((290, 0, 300, 200), abs=2)


def test_a_star_is_rejected_with_its_digitness(classifier: Classifier) -> None:
    grey = np.full((200, 200), 0.9, np.float32)
    for angle in np.arange(0, np.pi, np.pi / 5):
        reach = (60 * np.array([np.cos(angle), np.sin(angle)])).round().astype(int)
        cv2.line(grey, (100 - reach).tolist(), (100 + reach).tolist(), 0.1, 8)
    digits, (star,) = read(classifier, grey)
    assert digits == []
    assert star.reason == Reason.NOT_A_DIGIT
    assert star.digitness is not None
    assert 0 <= star.digitness < 0.5
    assert star.box == pytest.approx((40, 40, 160, 160), abs=6)
    assert summarise([star]) == "rejected 1 part of the ink (1 not a digit)"


def test_the_number_of_rejected_parts_is_limited(classifier: Classifier) -> None:
    digits, rejected = read(classifier, np.random.default_rng(0).random((300, 300), np.float32))
    assert digits == []
    assert len(rejected) <= MAX_REJECTED


def test_blank_paper_has_nothing_to_reject(classifier: Classifier) -> None:
    assert read(classifier, np.full((100, 100), 0.8, np.float32)) == ([], [])
    assert summarise([]) == "found no ink"


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 2), (10, 1000), (2000, 3)])
def test_boxes_are_inside_pictures_of_extreme_sizes(classifier: Classifier, shape: tuple[int, int]) -> None:
    for seed in range(5):
        grey = np.random.default_rng(seed).random(shape, np.float32)
        for one in recognise_digits(classifier, grey):
            assert 0 <= one.box[0] < one.box[2] <= shape[1]
            assert 0 <= one.box[1] < one.box[3] <= shape[0]


@pytest.mark.parametrize(("digitness", "expected"), [(0.95, 8), (0.4, 3), (0.0, 3)])
def test_an_image_in_the_form_of_mnist_is_normalised_anew_if_the_model_is_unsure(
    digitness: float, expected: int
) -> None:
    grey = np.ones((28, 28), np.float32)
    cv2.polylines(grey, [np.array([[9, 5], [18, 5], [13, 12], [18, 17], [13, 23], [9, 21]])], False, 0.0, 1)

    class Unsure:
        """Takes `grey` as it is for an 8, and everything else for a 3."""

        def infer(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            as_it_is = np.array([np.array_equal(image[0], 1 - grey) for image in images])
            probabilities = np.eye(10, dtype=np.float32)[np.where(as_it_is, 8, 3)]
            return probabilities, np.where(as_it_is, digitness, 0.9).astype(np.float32)

        def accept(self, digitness: np.ndarray) -> np.ndarray:
            return digitness > 0.3

    assert [one.digit for one in recognise_digits(Unsure(), grey)] == [expected]
