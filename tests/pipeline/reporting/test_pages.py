"""The pages, as text and in a browser."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import UndefinedError
from matplotlib.figure import Figure
from playwright.sync_api import Browser, sync_playwright

from pipeline.reporting import pages

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ("no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync")
SPLITS = ("train", "validation", "test")
NAMES = ("winner", "2nd-best", "third")
PICTURES = (
    *("class_balance", "corruptions", "embedding", "leaderboard", "learning_curves"),
    *("mean_and_std", "pixel_values", "samples", "size"),
)
DRAWINGS = ("confusion", "correct", "curves", "errors", "reliability", "slices")


def scores(accuracy: float) -> dict[str, float]:
    ends = {"accuracy": accuracy, "accuracy_low": accuracy - 0.01, "accuracy_high": accuracy + 0.005}
    means = dict.fromkeys(("precision", "recall", "f1"), accuracy)
    probabilities = {"log_loss": 0.1, "brier": 0.02, "ece": 0.0123, "error_auroc": 0.9876}
    rejection = {"false_rejection_rate": 0.004, "accepted_and_correct": accuracy - 0.003}
    return ends | means | probabilities | rejection | {"errors": round(10_000 * (1 - accuracy))}


def row(name: str, place: int) -> dict[str, Any]:
    validation = {"validation_accuracy": 0.99 - place / 100, "validation_log_loss": 0.1}
    test = {f"test_{score}": value for score, value in scores(0.98 - place / 50).items()}
    comparison = {"only_winner_correct": 30, "only_this_correct": 10, "mcnemar_p_holm": 0.0123}
    return {"model": name, "bytes": 123_456} | validation | test | (comparison if place else dict.fromkeys(comparison))


def evaluation(name: str, place: int) -> dict[str, Any]:
    part = {"slice": "thin", "images": 30, "errors": 3, "accuracy": 0.9, "accuracy_low": 0.74, "accuracy_high": 0.97}
    bins = [{"from": 0.9, "to": 1.0, "images": 10_000, "confidence": 0.95, "accuracy": 0.96}]
    return {
        "model": {
            "name": name,
            "kind": "svm",
            "hyperparameters": {"C": 5.0, "features": "pixels"},
            "training": {},
            "data": {"train": 55_000, "validation": 5_000, "training_set": "prepared"},
            "seed": 42,
            "runtime": {"threads": 2},
            "input": {"name": "images", "dtype": "float32", "shape": ["n", 1, 28, 28]},
            "outputs": [{"name": "probabilities", "dtype": "float32", "shape": ["n", 10]}],
            "acceptance": {"min_digitness": 0.0123},
            "validation_false_rejection_rate": 0.0028,
            "bytes": 123_456,
            "sha256": "abc" * 20,
            "versions": {"torch": "2"},
        },
        "test": scores(0.98 - place / 50),
        "validation": {"accuracy": 0.99},
        "per_class": [{"class": "0", "precision": 0.9, "recall": 0.8, "f1": 0.85, "images": 30}],
        "reliability": {"test": bins, "validation": bins},
        "coverage": [{"coverage": 0.9, "accuracy": 0.999}, {"coverage": 1.0, "accuracy": 0.98}],
        "slices": {"stroke_width": [part, {"slice": "thick", "images": 0, "errors": 0}]},
    }


def received(accuracy: float, coverage: float) -> dict[str, float]:
    return {
        "accuracy": accuracy,
        "coverage": coverage,
        "selective_accuracy": accuracy,
        "accepted_and_correct": accuracy * coverage,
    }


def worst(name: str, value: float) -> dict[str, Any]:
    return {"worst": {"corruption": name, "severity": 2, "accepted_and_correct": value}}


ROBUSTNESS = {
    "summary": {
        "all": received(0.9, 0.7) | worst("dotted_line", 0.25),
        "published": received(0.8, 0.6) | worst("fog", 0.35),
    },
    "clean": received(0.99, 1.0),
    "external": received(0.8, 0.5),
    "corruptions": [{"corruption": name, **received(0.85, 0.5)} for name in ("fog", "dotted_line")],
    "cells": [
        {"corruption": name, "severity": severity, **received(1 - severity / 10, 0.5)}
        for name in ("fog", "dotted_line")
        for severity in (1, 2)
    ],
}
LEARNING = [
    {"images": 400, "accuracy": 0.91, "accuracy_std": 0.012, "accuracy_std_of_seeds": 0.003, "log_loss": 0.3},
    {"images": 1600, "accuracy": 0.95, "accuracy_std": 0.004, "accuracy_std_of_seeds": 0.002, "log_loss": 0.2},
]


def label_error(split: str) -> dict[str, Any]:
    return {"split": split, "row": 7, "label": 4, "suggested": 9, "margin": -0.95}


CONTENT = pages.Content(
    data={
        "title": "Digits <of> mine",
        "origin": "Somebody",
        "licence": "CC0 & free",
        "citation": "Somebody: A paper. 1999",
        "files": {"images.gz": "0def" * 16},
        "classes": [str(digit) for digit in range(10)],
        "shape": [1, 28, 28],
        "digits": True,
        "warp": 1.0,
        "horizontal_flip": False,
        "images_per_class": {"train": [5_500] * 10, "validation": [500] * 10, "test": [1_000] * 10},
        "train_pixel_mean": 0.13,
        "train_pixel_std": 0.3,
        "train_thirds": {"stroke_width": [2.0, 3.0], "slant": [-1.0, 9.0], "size": [200.0, 300.0]},
        "background_fraction": 0.8,
        "ink_fraction_per_digit": [0.1] * 10,
        "identical_images": 5,
    },
    rows=[row(name, place) for place, name in enumerate(NAMES)],
    evaluations=[evaluation(name, place) for place, name in enumerate(NAMES)],
    robustness=dict.fromkeys(NAMES, ROBUSTNESS),
    learning=dict.fromkeys(NAMES, LEARNING),
    cross_validation={"images": [400, 1600], "folds": 3, "seeds": 2},
    label_errors=[label_error(split) for split in SPLITS],
    selected_by="validation",
    pictures={name: Figure(figsize=(8, 1)) for name in PICTURES},
    drawings={name: {drawing: Figure(figsize=(8, 1)) for drawing in DRAWINGS} for name in NAMES},
    label_error_pictures={split: Figure(figsize=(8, 1)) for split in SPLITS},
)


def without_errors(content: pages.Content) -> pages.Content:
    """Return `content` of one model that makes no test errors, of a run without external test images."""
    name = NAMES[0]
    evaluation_ = content.evaluations[0]
    return replace(
        content,
        rows=[content.rows[0] | {"test_error_auroc": None}],
        evaluations=[evaluation_ | {"test": evaluation_["test"] | {"error_auroc": None}}],
        robustness={name: {key: value for key, value in ROBUSTNESS.items() if key != "external"}},
        learning={name: LEARNING[:1]},
        selected_by="cross_validation",
    )


SMALLEST = without_errors(CONTENT)
NAMES_OF_CLOTHES = ["T-shirt/top", "Ankle | boot", "<Bag>"]
DIGITS_ONLY = (
    *("digit", "corrupt", "robust", "reject", "outlier", "ood", "stroke", "slant", "handwrit", "accepted"),
    *("mnist-c", "canonical", "external", "writer", "coverage"),
)


def of_clothes(content: pages.Content) -> pages.Content:
    """Return `content` as the stages write it for a dataset of colour images that are not digits."""
    only_digits = ("train_thirds", "background_fraction", "ink_fraction_per_digit")
    data = {key: value for key, value in content.data.items() if key not in only_digits} | {
        "title": "clothes, <of> mine",
        "citation": "",
        "files": {},
        "classes": NAMES_OF_CLOTHES,
        "shape": [3, 40, 24],
        "digits": False,
        "warp": 0.5,
        "horizontal_flip": True,
        "images_per_class": {"train": [1_500, 500, 9], "validation": [150, 50, 1], "test": [300, 100, 2]},
    }
    part = {"images": 30, "errors": 3, "accuracy": 0.9, "accuracy_low": 0.74, "accuracy_high": 0.97}
    per_class = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "images": 30}
    of_detector = ("acceptance", "validation_false_rejection_rate")
    of_rejection = ("false_rejection_rate", "accepted_and_correct")
    evaluations = [
        found
        | {
            "model": without(found["model"], of_detector)
            | {"input": {"name": "images", "dtype": "float32", "shape": ["n", 3, 40, 24]}},
            "test": without(found["test"], of_rejection),
            "per_class": [{"class": name} | per_class for name in NAMES_OF_CLOTHES],
            "slices": {"class": [{"slice": name} | part for name in NAMES_OF_CLOTHES]},
        }
        for found in content.evaluations
    ]
    return replace(
        content,
        data=data,
        rows=[without(row, tuple(f"test_{score}" for score in of_rejection)) for row in content.rows],
        evaluations=evaluations,
        robustness={name: {} for name in content.robustness},
        label_errors=[found | {"label": 0, "suggested": 1} for found in content.label_errors],
        pictures=without(content.pictures, ("corruptions",)),
    )


def without(found: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in keys}


CLOTHES = of_clothes(CONTENT)
CONTENTS = pytest.mark.parametrize(
    "content", [CONTENT, SMALLEST, CLOTHES, of_clothes(SMALLEST)], ids=["full", "smallest", "clothes", "one model"]
)


class Reader(HTMLParser):
    """Collects the elements of a page and checks that they are nested correctly."""

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


@CONTENTS
def test_html_page_is_well_formed_and_refers_to_no_other_file(content: pages.Content) -> None:
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
    models = [f"model-{row['model']}" for row in content.rows]
    assert models == [id_ for id_ in ids if re.fullmatch(r"model-.*(?<!-title)", str(id_))]


@CONTENTS
@pytest.mark.parametrize("template", pages.TEMPLATES.values())
def test_equal_content_gives_equal_text_without_missing_values(template: str, content: pages.Content) -> None:
    text = pages.render(template, content)
    assert pages.render(template, content) == text
    assert "None" not in text
    assert "\n\n\n" not in text or template.endswith("html.j2")
    assert text.endswith("\n")


@pytest.mark.parametrize("template", [name for name in pages.TEMPLATES.values() if not name.startswith("model_card")])
def test_missing_values_are_an_error(template: str) -> None:
    without = replace(CONTENT, data={key: value for key, value in CONTENT.data.items() if key != "origin"})
    with pytest.raises(UndefinedError, match="origin"):
        pages.render(template, without)


def test_html_page_escapes_and_has_the_numbers(page: str) -> None:
    assert "Digits &lt;of&gt; mine" in page
    assert "97.00% to 98.50%" in page
    assert "selected on the validation set; the test set is evaluated once per model" in page
    assert ">0.988</td>" in page
    assert '95.00% <span class="soft">± 0.40</span>' in page
    assert (
        "<td>90.00%</td><td>70.00%</td><td>90.00%</td><td>63.00%</td>"
        '<td data-value="0.25">25.00% (dotted line, 2)</td>'
        "<td>80.00%</td><td>60.00%</td><td>80.00%</td><td>48.00%</td>"
        '<td data-value="0.35">35.00% (fog, 2)</td>' in page
    )
    assert "<td>99.00%</td><td>100.00%</td><td>99.00%</td><td>99.00%</td><td>80.00%</td><td>50.00%</td>" in page
    assert '<th scope="row">dotted line</th><td>85.00%</td><td>50.00%</td><td>85.00%</td><td>42.50%</td></tr>' in page
    assert '<td style="--loss: 0.575">42.5</td>' in page
    cells = "".join(f"<td>{value}</td>" for value in (*(90.0, 80.0, 50.0, 50.0), *(90.0, 80.0, 45.0, 40.0)))
    assert f'<th scope="row">dotted line</th>{cells}</tr>' in page


def test_model_card_has_the_numbers() -> None:
    card = pages.render("model_card.md.j2", CONTENT)
    for line in (
        "| accuracy | 98.00%, 95% interval 97.00% to 98.50% |",
        "| false rejection rate | 0.40% (validation: 0.28%) |",
        "| AUROC of confidence | 0.988 |",
        "| stroke width thin | 30 | 3 | 90.00% | 74.00% to 97.00% |",
        "| 2nd-best | 400 | 30 | 10 | 0.012 |",
        "| corrupted, mean of all corruptions and severities | 90.00% | 70.00% | 90.00% | 63.00% |",
        "| corrupted as in MNIST-C, at the published strength | 80.00% | 60.00% | 80.00% | 48.00% |",
        "| clean | 99.00% | 100.00% | 99.00% | 99.00% |",
        "| fog | 85.00% | 50.00% | 85.00% | 42.50% |",
        "| 1,600 | 95.00% | 0.40% | 0.20% |",
    ):
        assert f"\n{line}\n" in card, line
    assert "`digitness` is at least 0.0123." in card
    assert "thick" not in card


def test_model_card_follows_mitchell() -> None:
    headings = re.findall(r"^## (.*)$", pages.render("model_card.md.j2", CONTENT), re.MULTILINE)
    assert headings == [
        *("Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data"),
        *("Quantitative analyses", "Ethical considerations", "Caveats and recommendations", "Reproduce"),
    ]


@pytest.mark.parametrize(
    ("title", "datasets"), [("MNIST, 70,000 digits", ["mnist"]), ('Somebody\'s digits: "mine" <8x8>', None)]
)
def test_model_card_begins_with_hugging_face_metadata(title: str, datasets: list[str] | None) -> None:
    card = pages.render("model_card.md.j2", replace(CONTENT, data=CONTENT.data | {"title": title}))
    empty, metadata, _ = card.split("---\n", 2)
    found = yaml.safe_load(metadata)
    assert "\\u" not in metadata
    assert not empty
    assert found.get("datasets") == datasets
    (entry,) = found["model-index"]
    (result,) = entry["results"]
    assert result["dataset"]["name"] == ("MNIST" if datasets else title)
    assert result["metrics"] == [{"type": "accuracy", "value": 0.98}]
    assert found.get("license") == ("mit" if datasets else None)  # what you train on your images is yours
    keys = ("library_name", "pipeline_tag", "metrics")
    assert [found[key] for key in keys] == ["onnx", "image-classification", ["accuracy"]]


def test_report_has_the_robustness_of_each_model_and_of_the_winner_by_corruption() -> None:
    report = pages.render("report.md.j2", CONTENT)
    for name in NAMES:
        assert f"\n| {name} | corrupted | 90.00% | 70.00% | 90.00% | 63.00% | 25.00% (dotted line, 2) |\n" in report
        assert f"\n| {name} | MNIST-C | 80.00% | 60.00% | 80.00% | 48.00% | 35.00% (fog, 2) |\n" in report
        assert f"\n| {name} | external | 80.00% | 50.00% | 80.00% | 40.00% | - |\n" in report
    assert report.count("\n| dotted line | 85.00% | 50.00% | 85.00% | 42.50% |\n") == 1


def test_pages_of_own_images_say_where_they_are_from() -> None:
    files = {f"{split}/{name}.npy": "0def" * 16 for split in ("train", "test") for name in ("images", "labels")}
    content = replace(CLOTHES, data=CLOTHES.data | {"files": files})
    card = pages.render("data_card.md.j2", content)
    assert "The images were read from data/own, resized and stored as these arrays:\n" in card
    assert "downloaded" not in card
    assert "elastic deformation, mirroring)" in card
    assert "make verify" not in pages.render("model_card.md.j2", content)
    assert "downloaded as published" in pages.render("data_card.md.j2", CONTENT)
    assert "make verify" in pages.render("model_card.md.j2", CONTENT)


def test_without_probable_label_errors_none_is_described() -> None:
    card = pages.render("data_card.md.j2", replace(CONTENT, label_errors=CONTENT.label_errors[:1]))
    assert "- validation: 0 images are listed, 0 of them with a margin below -0.9.\n" in card


def test_few_validation_images_are_pointed_out() -> None:
    few = "validation images the selection depends much on chance"
    assert few not in pages.render("report.md.j2", CONTENT)
    report = pages.render("report.md.j2", CLOTHES)
    assert f"With 201 {few}; `report.select_by: cross_validation` in params.yaml uses more images.\n" in report


def test_data_card_has_the_numbers() -> None:
    card = pages.render("data_card.md.j2", CONTENT)
    assert "| train | 55,000 | 5,500 |" in card
    assert "Licence: CC0 & free." in card
    assert f"\n| file | SHA-256 |\n| --- | --- |\n| images.gz | `{'0def' * 16}` |\n" in card
    assert "Cite as: Somebody: A paper. 1999." in card
    assert "labelled 4, predicted 9." in card
    assert "- test: 1 images are listed, 1 of them with a margin below -0.9." in card


@pytest.mark.parametrize("template", pages.TEMPLATES.values())
def test_pages_of_other_images_have_no_word_about_digits(template: str) -> None:
    for content in (CLOTHES, of_clothes(SMALLEST)):
        text = re.sub(r"base64,[^\"]*", "", pages.render(template, content)).lower()
        assert not re.findall(rf"\w*(?:{'|'.join(DIGITS_ONLY)})\w*", text), template


@CONTENTS
def test_headings_have_something_below_them(content: pages.Content) -> None:
    for template in ("model_card.md.j2", "data_card.md.j2", "report.md.j2"):
        lines = [line for line in pages.render(template, content).splitlines() if line]
        pairs = [pair for pair in itertools.pairwise(lines) if pair[0].startswith("#")]
        assert len(pairs) > 3
        assert all(len(below) - len(below.lstrip("#")) not in range(1, above.count("#") + 1) for above, below in pairs)
        assert not lines[-1].startswith("#")


def test_pages_of_other_images_have_their_names_and_sizes() -> None:
    page = pages.render("report.html.j2", CLOTHES)
    assert "<title>Clothes: 3 models compared</title>" in page
    assert '<th scope="row">Ankle | boot</th>' in page
    assert '<th scope="row">&lt;Bag&gt;</th>' in page
    assert 'href="#robustness"' not in page
    report = pages.render("report.md.j2", CLOTHES)
    assert "\n| class | precision | recall | F1 | test images |\n" in report
    assert "\n| Ankle \\| boot | 90.00% | 80.00% | 85.00% | 30 |\n" in report
    card = pages.render("data_card.md.j2", CLOTHES)
    assert "RGB images of height 40 and width 24 pixels, uint8, each with one label of 3 classes." in card
    assert (
        "\n| class | train | validation | test |\n| --- | --- | --- | --- |\n| T-shirt/top | 1,500 | 150 | 300 |\n"
        in card
    )
    assert "\n| all | 2,009 | 201 | 402 |\n" in card
    assert "labelled T-shirt/top, predicted Ankle | boot." in card
    assert "checksum" not in card
    assert "Cite as" not in card
    model = pages.render("model_card.md.j2", CLOTHES)
    assert "RGB images of height 40 and width 24 pixels" in model
    assert "(n, 3, 40, 24) in [0, 1], red, green, blue |" in model
    assert "\n| class <Bag> | 30 | 3 | 90.00% | 74.00% to 97.00% |\n" in model


def test_confusion_matrix_of_many_classes_has_the_width_of_the_page() -> None:
    many = replace(CLOTHES, data=CLOTHES.data | {"classes": [str(n) for n in range(47)]})
    for content, wide in ((CLOTHES, False), (many, True)):
        page = pages.render("report.html.j2", content)
        assert page.count('alt="Confusion matrix of') == len(NAMES)
        assert ('aria-label="Confusion matrix of winner on the test images"' in page) == wide


def test_data_card_says_which_checksums_are_not_sha256() -> None:
    files = {"a.gz": "0def" * 16, "b.gz": "0def" * 8 + " (MD5)"}
    card = pages.render("data_card.md.j2", replace(CLOTHES, data=CLOTHES.data | {"files": files}))
    assert "\n| file | checksum, SHA-256 unless stated |\n" in card
    assert f"\n| b.gz | `{'0def' * 8} (MD5)` |\n" in card


@CONTENTS
def test_rows_of_markdown_tables_have_equal_numbers_of_cells(content: pages.Content) -> None:
    for template in ("model_card.md.j2", "data_card.md.j2", "report.md.j2"):
        tables = re.findall(r"(?:^\|.*\n)+", pages.render(template, content), re.MULTILINE)
        assert tables
        for table in tables:
            lines = table.splitlines()
            assert len({line.replace("\\|", "").count("|") for line in lines}) == 1, table
            assert re.fullmatch(r"\|( --- \|)+", lines[1]), table


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in QUIET])
        yield found
        found.close()


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}: apt install chromium")
def test_phone_without_scripts_shows_one_model_and_groups_of_columns(browser: Browser, page: str) -> None:
    plain = browser.new_context(viewport={"width": 360, "height": 700}, java_script_enabled=False).new_page()
    plain.set_content(page)
    assert plain.locator("body").bounding_box()["width"] == 360
    assert plain.locator("main").evaluate("main => main.scrollWidth <= 360")
    panels = plain.locator("article:visible")
    assert [panels.count(), panels.first.get_attribute("id")] == [1, "model-winner"]
    plain.locator(".tabs a", has_text="2nd-best").click()
    assert [panels.count(), panels.first.get_attribute("id")] == [1, "model-2nd-best"]
    assert plain.locator("#leaderboard td.probability:visible").count() == 4 * len(NAMES)
    plain.get_by_label("Accuracy", exact=True).check(force=True)
    assert plain.locator("#leaderboard td.probability:visible").count() == 0
    assert plain.locator("#leaderboard td.accuracy:visible").count() > 0


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}: apt install chromium")
def test_tables_sort_by_a_click_and_all_models_are_printed(browser: Browser, page: str) -> None:
    live = browser.new_context().new_page()
    errors: list[str] = []
    live.on("console", lambda message: errors.append(message.text))
    live.on("pageerror", lambda error: errors.append(str(error)))
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
    assert not errors


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}: apt install chromium")
def test_leaderboard_of_other_images_has_a_group_for_the_size(browser: Browser) -> None:
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.set_content(pages.render("report.html.j2", CLOTHES))
    plain.get_by_label("Size", exact=True).check(force=True)
    assert plain.locator("#leaderboard tbody tr").first.locator("td:visible").all_inner_texts() == ["123"]
