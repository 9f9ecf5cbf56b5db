"""What the docstrings of this project mean, for griffe: `name, title: of the dataset` describes two attributes, and
`<name>` is a word rather than HTML.
"""

import re
from typing import Any

import griffe

SECTION = re.compile(r"(?:Args|Attributes):$")


class Docstrings(griffe.Extension):
    """Rewrites docstrings before they are parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = escaped(separated(obj.docstring.value))


def separated(text: str) -> str:
    """Return a docstring in which every argument and every attribute has a description of its own."""
    lines, inside = [], False
    entries: list[tuple[str, list[str]]] = []  # names, with the lines that describe them
    for line in [*text.splitlines(), ""]:
        if inside and line.startswith("    ") and line[4] != " " and ":" in line:
            names, description = line.strip().split(":", 1)
            entries.append((names, [description]))
        elif inside and line.startswith("     ") and entries:
            entries[-1][1].append(f"\n{line}")
        else:
            for names, description in entries:
                lines += [f"    {name}:{''.join(description)}" for name in names.split(", ")]
            entries = []
            lines.append(line)
            inside = bool(SECTION.match(line)) or (inside and not line)
    return "\n".join(lines).rstrip("\n")


def escaped(text: str) -> str:
    """Return Markdown in which `<name>` outside code is not taken for an HTML element."""
    pattern = re.compile(r"(`[^`]*`|^ {4}.*)|<(\w+)>", re.MULTILINE)
    return pattern.sub(lambda found: found[1] or f"&lt;{found[2]}&gt;", text)
