"""JSON files in one form: two spaces of indentation and a final newline."""

import json
from pathlib import Path
from typing import Any


def read(path: Path) -> Any:
    """Return the content of the JSON file at `path`."""
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, content: object) -> None:
    """Write `content` to `path`, completely or not at all, and create its folder if needed.

    Args:
        content: what JSON can represent; sections of params.yaml become objects.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=2, default=dict) + "\n", encoding="utf-8")
    part.replace(path)
