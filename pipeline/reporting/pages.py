"""The report as one HTML file that needs no network, and as Markdown; the model card and the data card."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.reporting import plots

FOLDER = Path(__file__).parent / "templates"

# File in reports/, and its template. The Markdown pages refer to pictures in reports/figures.
TEMPLATES = {
    "index.html": "report.html.j2",
    "report.md": "report.md.j2",
    "model_card.md": "model_card.md.j2",
    "data_card.md": "data_card.md.j2",
}

Picture = Path | Figure


@dataclass(frozen=True)
class Content:
    """The content of all pages. Models are in the order of the leaderboard.

    Attributes:
        data: results/data.json, statistics of the dataset.
        rows: the leaderboard, best model first.
        evaluations: results/evaluation/<model>.json of each model.
        robustness: results/robustness/<model>.json of each model: `summary`, `clean`, perhaps `external`, `corruptions`
            and `cells`; empty unless the images are digits.
        learning: for each model a row per number of images, from repeated cross-validation.
        cross_validation: that section of params.yaml.
        label_errors: probable label errors, some of each split, smallest margin first.
        selected_by: validation or cross_validation.
        pictures: PNG files and figures by name: of the data, and of all models together.
        drawings: the same for each model: curves, confusion, reliability, slices, errors, correct.
        label_error_pictures: a picture of the probable label errors of each split.
    """

    data: dict[str, Any]
    rows: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    robustness: dict[str, dict[str, Any]]
    learning: dict[str, list[dict[str, float]]]
    cross_validation: dict[str, Any]
    label_errors: list[dict[str, Any]]
    selected_by: str
    pictures: dict[str, Picture]
    drawings: dict[str, dict[str, Picture]]
    label_error_pictures: dict[str, Picture]


def render(template: str, content: Content) -> str:
    """Return the text of a page; an HTML page contains its pictures.

    Args:
        template: a value of TEMPLATES.

    Raises:
        jinja2.UndefinedError: `content` lacks something that the page needs.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": _percent,
        "thousands": _thousands,
        "p_value": _p_value,
        "json": json.dumps,
        "cell": _cell,
        "picture": _picture,
    }
    return environment.get_template(template).render(vars(content))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}%"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _cell(text: str) -> str:
    """Return `text` for a cell of a Markdown table."""
    return text.replace("|", "\\|")


def _thousands(number: float) -> str:
    return f"{number:,.0f}"


def _picture(source: Picture, alt: str) -> Markup:
    """Return an <img> element with the picture embedded."""
    data = source.read_bytes() if isinstance(source, Path) else plots.to_png(source)
    encoded = base64.b64encode(data).decode()
    return Markup('<img src="data:image/png;base64,{}" alt="{}" loading="lazy">').format(encoded, alt)
