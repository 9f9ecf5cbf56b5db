"""The report as one HTML file that opens without a network, and as Markdown."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from matplotlib.figure import Figure

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Content:
    """What the report says; models are in the order of the leaderboard.

    Attributes:
        facts: of the data, from the stage `explore`.
        rows: the leaderboard, best model first.
        evaluations: evaluation.json of each model.
        curves: a figure per model.
        pictures: PNG files by name: of the data, and the leaderboard.
        model_pictures: for each model, PNG files by name: confusion, mistakes, right.
    """

    facts: dict[str, Any]
    rows: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    curves: dict[str, Figure]
    pictures: dict[str, Path]
    model_pictures: dict[str, dict[str, Path]]


def markdown(content: Content) -> str:
    """Return the report as Markdown, which shows the pictures in reports/figures."""
    return _render("report.md.j2", content)


def html(content: Content) -> str:
    """Return the report as one HTML page with its pictures inside."""
    return _render("report.html.j2", content)


def _render(template: str, content: Content) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": lambda fraction: f"{100 * fraction:.2f}%", "picture": _picture}
    return environment.get_template(template).render(vars(content))


def _picture(source: Path | Figure, alt: str) -> Markup:
    """Return an <img> that holds the picture itself."""
    if isinstance(source, Path):
        data = source.read_bytes()
    else:
        buffer = io.BytesIO()
        source.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        data = buffer.getvalue()
    encoded = base64.b64encode(data).decode()
    return Markup('<img src="data:image/png;base64,{}" alt="{}" loading="lazy">').format(encoded, alt)
