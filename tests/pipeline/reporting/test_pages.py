"""The pages: whole, the same twice, and in a real browser with and without scripts."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError
from matplotlib.figure import Figure
from playwright.sync_api import Browser, sync_playwright

from pipeline.reporting import pages

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ("no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync")
SPLITS = ("train", "validation", "test")
NAMES = ("winner", "2nd-best", "third")
PICTURES = ("class_balance", "costs", "embedding", "leaderboard", "mean_and_spread", "pixel_values", "samples")
DRAWINGS = ("confusion", "curves", "mistakes", "reliability", "right", "slices")


def scores(accuracy: float) -> dict[str, float]:
    ends = {"accuracy": accuracy, "accuracy_low": accuracy - 0.01, "accuracy_high": accuracy + 0.005}
    means = {f"{name}_macro": accuracy for name in ("precision", "recall", "f1")}
    return (
        ends
        | means
        | {"log_loss": 0.1, "brier": 0.02, "ece": 0.0123, "rejected": 0.004, "errors": round(10_000 * (1 - accuracy))}
    )


def row(name: str, place: int) -> dict[str, Any]:
    validation = {"validation_accuracy": 0.99 - place / 100, "cross_validation_accuracy": 0.9, "mcnemar_p_holm": 0.0123}
    test = {f"test_{score}": value for score, value in scores(0.98 - place / 50).items()}
    alone = {"winner_alone_right": 30, "alone_right": 10}
    spreads = {"cross_validation_accuracy_spread": 0.002, "cross_validation_accuracy_spread_of_seeds": 0.0013}
    return {"model": name, "bytes": 123_456} | validation | test | alone | spreads


def evaluation(name: str, place: int) -> dict[str, Any]:
    part = {"slice": "thin", "images": 30, "errors": 3, "accuracy": 0.9, "accuracy_low": 0.74, "accuracy_high": 0.97}
    bins = [{"from": 0.9, "to": 1.0, "images": 10_000, "confidence": 0.95, "accuracy": 0.96}]
    return {
        "model": {
            "name": name,
            "kind": "svm",
            "hyperparameters": {"C": 5.0, "features": "pixels"},
            "training": {},
            "data": {"train": 55_000, "validation": 5_000, "examples": "prepared"},
            "seed": 42,
            "runtime": {"threads": 2},
            "input": {"name": "images", "dtype": "float32"},
            "outputs": [{"name": "probabilities", "dtype": "float32", "shape": ["n", 10]}],
            "gate": {"threshold": 0.1},
            "bytes": 123_456,
            "sha256": "abc" * 20,
            "versions": {"torch": "2"},
        },
        "metrics": {"test": scores(0.98 - place / 50), "validation": {"accuracy": 0.99}},
        "per_digit": [{"digit": 0, "precision": 0.9, "recall": 0.8, "f1": 0.85, "images": 30}],
        "reliability": {"test": bins, "validation": bins},
        "coverage": [{"coverage": 0.9, "accuracy": 0.999}, {"coverage": 1.0, "accuracy": 0.98}],
        "slices": {"stroke_width": [part, {"slice": "thick", "images": 0, "errors": 0}]},
    }


def suspect(split: str) -> dict[str, Any]:
    return {"split": split, "row": 7, "label": 4, "suggested": 9, "score": -0.95}


CONTENT = pages.Content(
    facts={
        "title": "Digits <of> mine",
        "origin": "Somebody",
        "licence": "None & free",
        "files": {"images.gz": "def" * 20},
        "images_per_digit": {"train": [5_500] * 10, "validation": [500] * 10, "test": [1_000] * 10},
        "train_pixel_mean": 0.13,
        "train_pixel_std": 0.3,
        "train_thirds": {"stroke_width": [2.0, 3.0], "slant": [-1.0, 9.0], "size": [200.0, 300.0]},
        "background_fraction": 0.8,
        "ink_fraction_per_digit": [0.1] * 10,
        "identical_images": 5,
    },
    rows=[row(name, place) for place, name in enumerate(NAMES)],
    evaluations=[evaluation(name, place) for place, name in enumerate(NAMES)],
    costs={"ms for one image": dict.fromkeys(NAMES, 0.5)},
    machine={"cpu": "a CPU", "threads": "2"},
    pictures={name: Figure(figsize=(8, 1)) for name in PICTURES},
    drawings={name: {drawing: Figure(figsize=(8, 1)) for drawing in DRAWINGS} for name in NAMES},
    robustness={name: pages.Robustness({"clean": 0.99, "worst": 0.4}, {"fog": [0.9, 0.7]}) for name in NAMES},
    chosen_by="validation",
    suspects=[suspect(split) for split in SPLITS],
    suspicious={split: Figure(figsize=(8, 1)) for split in SPLITS},
    repeated="3 folds of 1,500 images, with 2 seeds",
)
BARE = replace(CONTENT, costs={}, machine={}, robustness={})


class Reader(HTMLParser):
    """Collects what a page is made of, and checks that elements close in the order that they opened."""

    VOID = ("meta", "img", "input", "line", "circle", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return pages.render("report.html.j2", CONTENT)


@pytest.mark.parametrize("content", [CONTENT, BARE], ids=["full", "bare"])
def test_the_page_is_well_formed_and_needs_nothing_else(content: pages.Content) -> None:
    reader = Reader()
    reader.feed(pages.render("report.html.j2", content))
    assert not reader.open
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in reader.elements:
        for key in ("href", "aria-labelledby"):
            if key in attributes:
                assert str(attributes[key]).removeprefix("#") in ids
        if tag == "img":
            assert attributes["alt"]
            assert str(attributes["src"]).startswith("data:image/png;base64,")
        assert tag not in ("link", "iframe")
        assert tag == "img" or "src" not in attributes
    assert [f"model-{name}" for name in NAMES] == [id_ for id_ in ids if re.fullmatch(r"model-.*(?<!-title)", str(id_))]


@pytest.mark.parametrize("template", pages.ALL.values())
def test_same_content_same_bytes_and_nothing_missing(template: str) -> None:
    text = pages.render(template, CONTENT)
    assert pages.render(template, CONTENT) == text
    assert "None" not in text.replace("None & free", "").replace("None &amp; free", "")
    assert pages.render(template, BARE)


def test_what_is_missing_is_an_error() -> None:
    without = replace(CONTENT, facts={key: value for key, value in CONTENT.facts.items() if key != "title"})
    for template in ("report.html.j2", "report.md.j2", "data_card.md.j2"):
        with pytest.raises(UndefinedError, match="title"):
            pages.render(template, without)


def test_the_page_escapes_and_the_cards_say_the_numbers(page: str) -> None:
    assert "Digits &lt;of&gt; mine" in page
    assert "97.00% to 98.50%" in page
    card = pages.render("model_card.md.j2", CONTENT)
    assert "| accuracy | 98.00%, Wilson's 95% interval 97.00% to 98.50% |" in card
    assert "| stroke width thin | 30 | 3 | 90.00% | 74.00% to 97.00% |" in card
    assert "| 2nd-best | 400 | 30 | 10 | 0.012 |" in card
    assert "| fog, mild to strong | 90.00%, 70.00% |" in card
    assert "thick" not in card
    data = pages.render("data_card.md.j2", CONTENT)
    assert "| train | 55,000 | 5,500 |" in data
    assert "Licence: None & free." in data
    assert f"| images.gz | `{'def' * 20}` |" in data
    for table in re.findall(r"(?:^\|.*\n)+", card + data + pages.render("report.md.j2", CONTENT), re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in QUIET])
        yield found
        found.close()


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}: apt install chromium")
def test_in_a_browser(browser: Browser, page: str) -> None:
    """On a phone's 360 pixels, without scripts: one model at a time, groups of columns; with scripts it sorts."""
    plain = browser.new_context(viewport={"width": 360, "height": 700}, java_script_enabled=False).new_page()
    plain.set_content(page)
    assert plain.locator("body").bounding_box()["width"] == 360
    assert plain.locator("main").evaluate("main => main.scrollWidth <= 360")
    shown = plain.locator("article:visible")
    assert [shown.count(), shown.first.get_attribute("id")] == [1, "model-winner"]
    plain.locator(".tabs a", has_text="2nd-best").click()
    assert [shown.count(), shown.first.get_attribute("id")] == [1, "model-2nd-best"]
    assert plain.locator("#leaderboard td.sure:visible").count() == 3 * len(NAMES)
    plain.get_by_label("Accuracy", exact=True).check(force=True)
    assert plain.locator("#leaderboard td.sure:visible").count() == 0
    assert plain.locator("#leaderboard td.accuracy:visible").count() > 0

    live = browser.new_context().new_page()
    complaints: list[str] = []
    live.on("console", lambda message: complaints.append(message.text))
    live.on("pageerror", lambda error: complaints.append(str(error)))
    live.set_content(page)
    first = live.locator("#leaderboard tbody th")
    assert first.all_inner_texts() == list(NAMES)
    live.get_by_role("button", name="errors").click()
    live.get_by_role("button", name="errors").click()
    assert first.all_inner_texts() == list(reversed(NAMES))
    live.get_by_role("button", name="model").first.click()
    assert first.all_inner_texts() == sorted(NAMES)
    live.emulate_media(media="print")
    assert live.locator("article:visible").count() == len(NAMES)
    assert not complaints
