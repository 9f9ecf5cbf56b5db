import unicodedata
from collections import Counter

import numpy as np
import pytest

from pipeline.datasets.arrays import LabelledImages
from pipeline.ood import outliers
from pipeline.ood.outliers import glyphs, modified_digits
from pipeline.training import strokes


@pytest.fixture(scope="module")
def by_digit(digits: LabelledImages) -> list[np.ndarray]:
    return [digits.images[digits.labels == digit] for digit in range(10)]


def draw(kind: str, by_digit: list[np.ndarray], count: int = 20) -> np.ndarray:
    return np.array([outliers.outlier(kind, by_digit, np.random.default_rng([1, i])) for i in range(count)])


def test_outliers_have_the_form_of_digits_and_differ(digits: LabelledImages) -> None:
    found = outliers.generate(140, digits.images, digits.labels, seed=1)
    assert found.shape == (140, 28, 28)
    assert found.dtype == np.uint8
    assert len(np.unique(found.reshape(140, -1), axis=0)) > 130  # some blanks are the same


def test_outliers_depend_on_the_seed_only_and_a_smaller_count_gives_the_first(digits: LabelledImages) -> None:
    one, fewer, other = (
        outliers.generate(count, digits.images, digits.labels, seed) for count, seed in ((40, 1), (15, 1), (40, 2))
    )
    assert np.array_equal(one[:15], fewer)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("kind", outliers.KINDS)
def test_each_kind_varies(kind: str, by_digit: list[np.ndarray]) -> None:
    found = draw(kind, by_digit)
    assert found.shape == (20, 28, 28)
    assert found.dtype == np.uint8
    assert len(np.unique(found.reshape(20, -1), axis=0)) > (8 if kind == "blank" else 18)


@pytest.mark.parametrize("kind", [*outliers.DRAWN, *outliers.MODIFIED])
def test_drawings_are_bright_ink_on_dark(kind: str, by_digit: list[np.ndarray]) -> None:
    found = draw(kind, by_digit)
    assert (found.reshape(20, -1).max(axis=1) > 60).all()
    assert np.median(found[:, [0, -1]]) == 0
    assert (found > 127).mean() < 0.5


def test_half_of_the_outliers_are_characters() -> None:
    weights = outliers.WEIGHTS
    characters = sum(weights[kind] for kind in ("stroke_font", "invented", "angular", "continuous", "typeface", "word"))
    assert 0.45 <= characters / sum(weights.values()) <= 0.7


def test_digits_are_among_no_glyphs() -> None:
    for font in glyphs.HERSHEY:
        keys = {key for key, _ in glyphs.hershey(font)}
        assert len(keys) > 25
        if font not in ("japanese", "symbolic"):
            assert not keys & set("0123456789")
    for found in glyphs.typefaces().values():
        for _, character in found:
            assert not unicodedata.category(character).startswith("N"), character


def test_letters_symbols_and_many_scripts_are_among_the_glyphs() -> None:
    found = {character for entries in glyphs.typefaces().values() for _, character in entries}
    assert len(found) > 2500
    assert set("AKMRWekwxЖЯЩΨλשᐱ♥→∑€") <= found
    assert all(glyphs.typefaces().values())


def test_scripts_of_the_benchmark_are_held_out() -> None:
    names = [unicodedata.name(character, "") for found in glyphs.typefaces().values() for _, character in found]
    assert not any(script in name for name in names for script in glyphs.HELD_OUT)


def test_the_outline_of_a_glyph_encloses_its_ink() -> None:
    contours = glyphs.outline("DejaVuSans", "H")
    assert len(contours) == 1
    assert np.array_equal(contours[0][0], contours[0][-1])
    low, high = strokes.bounds(contours)
    assert (high - low > 20).all()
    assert glyphs.outline("DejaVuSans", " ") == []


def test_a_half_has_no_ink_beyond_the_cut(by_digit: list[np.ndarray]) -> None:
    for seed in range(20):
        part = modified_digits.half(by_digit, np.random.default_rng(seed))
        assert not part[20:].any() or not part[:8].any()
        assert part.any()


def test_two_digits_have_the_ink_of_both() -> None:
    by_digit = [np.zeros((1, 28, 28), np.uint8) for _ in range(10)]
    for digit in by_digit:
        digit[0, 4:24, 10:18] = 255
    pictures = [modified_digits.two(by_digit, np.random.default_rng(seed)) for seed in range(20)]
    ink = Counter(int((picture > 127).sum()) for picture in pictures)
    assert ink[320] >= 10  # beside or above each other
    assert all(160 < amount <= 320 for amount in ink)
