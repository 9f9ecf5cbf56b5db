"""The report as one HTML file that opens without a network, and as Markdown, with the cards of model and data."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from matplotlib.figure import Figure

TEMPLATES = Path(__file__).parent / "templates"

# What is written to reports/, and from which template. The pictures of the pages in Markdown are in reports/figures.
ALL = {
    "index.html": "report.html.j2",
    "report.md": "report.md.j2",
    "model_card.md": "model_card.md.j2",
    "data_card.md": "data_card.md.j2",
}

Picture = Path | Figure


@dataclass(frozen=True)
class Robustness:
    """Accuracies of a model on spoilt images: a `summary` by name, and of each of the `corruptions` by severity."""

    summary: dict[str, float]
    corruptions: dict[str, list[float]]


@dataclass(frozen=True)
class Content:
    """What the report says; models are in the order of the leaderboard.

    Attributes:
        facts: of the data, from the stage `explore`.
        rows: the leaderboard, best model first.
        evaluations: evaluation.json of each model.
        costs: for each kind of cost that was measured, of every model.
        machine: on which they were measured.
        pictures: PNG files and figures by name: of the data, and of all models together.
        drawings: the same for each model: curves, confusion, reliability, slices, mistakes, right.
        robustness: of each model; empty where it was not measured.
        chosen_by: validation or cross_validation.
        suspects: images whose label looks wrong, some of each split, most suspicious first.
        suspicious: a picture of them for each split.
        repeated: what cross-validation did, in words.
    """

    facts: dict[str, Any]
    rows: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    costs: dict[str, dict[str, float]]
    machine: dict[str, str]
    pictures: dict[str, Picture]
    drawings: dict[str, dict[str, Picture]]
    robustness: dict[str, Robustness]
    chosen_by: str
    suspects: list[dict[str, Any]]
    suspicious: dict[str, Picture]
    repeated: str


def render(template: str, content: Content) -> str:
    """Return `content` as the text of `template`; that of a page in HTML has its pictures inside."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": _percent, "thousands": _thousands, "p_value": _p_value, "picture": _picture}
    return environment.get_template(template).render(vars(content))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}%"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _thousands(number: float) -> str:
    return f"{number:,.0f}"


def _picture(source: Picture, alt: str) -> Markup:
    """Return an <img> that holds the picture itself."""
    if isinstance(source, Path):
        data = source.read_bytes()
    else:
        buffer = io.BytesIO()
        source.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        data = buffer.getvalue()
    encoded = base64.b64encode(data).decode()
    return Markup('<img src="data:image/png;base64,{}" alt="{}" loading="lazy">').format(encoded, alt)
