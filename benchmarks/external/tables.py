"""Rows of the tables that the command prints and docs/external.md shows, in percent."""

from typing import Any

from benchmarks.external.datasets import RECORDS

DIGITS = (
    "digits",
    "images",
    "accuracy",
    "coverage",
    "accuracy of the accepted",
    "accepted and correct",
    "reader: coverage",
    "reader: correct",
    "with margin: correct",
)
OUTLIERS = (
    "not digits",
    "images",
    "rejected",
    "reader: rejected",
    "AUROC",
    "baseline: AUROC",
    "FPR at 95% TPR",
    "baseline: FPR",
)
MISSING = "-"


def digit_rows(results: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row of DIGITS for each result that is about digits."""
    rows = []
    for result in results:
        if result["content"] == "digits":
            found, reader = result.get("classifier", {}), result["reader"]
            row = [percent(found.get(name)) for name in ("accuracy", "coverage", "selective_accuracy")]
            row += [with_interval(found, "accepted_and_correct"), percent(reader["coverage"])]
            for way in (reader, result.get("reader_with_margin", {})):
                row.append(with_interval(way, "accepted_and_correct"))
            rows.append([title(result), f"{result['images']:,}", *row])
    return rows


def outlier_rows(results: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row of OUTLIERS for each result that is about images without digits."""
    rows = []
    for result in results:
        if result["content"] == "outliers":
            row = [with_interval(result.get(way, {}), "rejected") for way in ("classifier", "reader")]
            detection, methods = result.get("detection", {}), ("digitness", "max_probability")
            for score in ("auroc", "false_positive_rate"):
                row += [percent(detection.get(method, {}).get(score)) for method in methods]
            rows.append([title(result), f"{result['images']:,}", *row])
    return rows


def title(result: dict[str, Any]) -> str:
    """Return what a result is about: dataset, file if it has several, group if it has several."""
    record = RECORDS[result["dataset"]]
    file = f", {result['file']}" if len(record.files) > 1 else ""
    return record.title + file + (f": {result['group']}" if result["group"] != "all" else "")


def percent(fraction: float | None) -> str:
    """Return `fraction` in percent."""
    return MISSING if fraction is None else f"{100 * fraction:.1f}"


def with_interval(scores: dict[str, float], name: str) -> str:
    """Return the fraction called `name` and its interval, in percent."""
    if name not in scores:
        return MISSING
    return f"{percent(scores[name])} ({percent(scores[f'{name}_low'])}-{percent(scores[f'{name}_high'])})"
