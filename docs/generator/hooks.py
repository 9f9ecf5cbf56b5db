"""What mkdocs.yml adds to MkDocs: generated tables, and files of the repository that pages link to.

Pages are written for readers on GitHub as well: they link to files outside `docs`. Each such file becomes part of the
site, Markdown and code as pages, anything else as it is.
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import reference
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
DOCS = "docs"
COPIES = "repository"  # the folder of the site with files from outside `docs`
GENERATED: dict[str, Callable[[], str]] = {
    "<!-- parameters -->": reference.parameters,
    "<!-- datasets -->": reference.datasets,
    "<!-- hyperparameters -->": reference.hyperparameters,
}
COG = re.compile(r"<!-- \[\[\[cog.*?\]\]\] -->\n|<!-- \[\[\[end\]\]\] -->\n", re.DOTALL)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
CODE = {".py": "python", ".yaml": "yaml", ".yml": "yaml"}
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
NOT_SEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside `docs` that pages link to, and the pictures in those."""
    for page in [file for file in files if file.src_uri.endswith(".md")]:
        for image, target in outside(page.content_string, posixpath.join(DOCS, page.src_uri)):
            _add(target, files, config)
            if target.endswith(".md") and not image:
                for inner, nested in outside((ROOT / target).read_text(encoding="utf-8"), target):
                    if inner:
                        _add(nested, files, config)
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Fill in the generated tables, take out the code of cog, and lead links to where the site has their targets."""
    uri = page.file.src_uri
    markdown = COG.sub("", markdown)
    for mark, generate in GENERATED.items():
        markdown = markdown.replace(mark, generate()) if mark in markdown else markdown
    here = uri.removeprefix(f"{COPIES}/").removesuffix(".py.md") if _copied(uri) else posixpath.join(DOCS, uri)

    def moved(link: re.Match[str]) -> str:
        image, text, address, anchor = link.groups(default="")
        target = _target(here, address)
        if not target:
            return link[0]
        place = _place(target)
        if files.get_file_from_path(place) is None:
            return text if _copied(uri) else link[0]
        return f"{image}[{text}]({posixpath.relpath(place, posixpath.dirname(uri) or '.')}{anchor})"

    return LINK.sub(moved, markdown)


def outside(markdown: str, here: str) -> list[tuple[bool, str]]:
    """Return the files and folders outside `docs` that a document links to, and whether each is a picture in it.

    Args:
        here: the document's path in the repository.
    """
    links = [(image == "!", _target(here, address)) for image, _, address, _ in LINK.findall(COG.sub("", markdown))]
    return [(image, target) for image, target in links if target and _copied(_place(target))]


def _target(here: str, address: str) -> str:
    """Return the path in the repository that a link in the document `here` leads to; empty if nowhere in it."""
    if re.match(r"[a-z]+:|/", address):
        return ""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(here), address))
    return target if not target.startswith("..") and (ROOT / target).exists() else ""


def _place(target: str) -> str:
    """Return the path among the site's sources of a file or folder in the repository."""
    if target.startswith(f"{DOCS}/"):
        return target.removeprefix(f"{DOCS}/")
    page = Path(target).suffix in CODE or (ROOT / target).is_dir()
    return f"{COPIES}/{target}{'.md' if page else ''}"


def _copied(uri: str) -> bool:
    return uri.startswith(f"{COPIES}/")


def _add(target: str, files: Files, config: Any) -> None:
    place, path = _place(target), ROOT / target
    if files.get_file_from_path(place) is not None:
        return
    if path.is_dir():
        inside = sorted(file.name for file in path.iterdir() if file.is_file())
        links = "\n".join(f"- [{name}]({path.name}/{name})" for name in inside)
        files.append(File.generated(config, place, content=f"{NOT_SEARCHED}# {target}\n\n{links}\n"))
        for name in inside:
            _add(f"{target}/{name}", files, config)
    elif language := CODE.get(path.suffix):
        code = path.read_text(encoding="utf-8")
        text = f"{NOT_SEARCHED}# {target}\n\n````{language}\n{code}````\n"
        files.append(File.generated(config, place, content=text))
    elif path.suffix == ".md":
        text = FRONT_MATTER.sub("", path.read_text(encoding="utf-8"))
        files.append(File.generated(config, place, content=NOT_SEARCHED + text))
    else:
        files.append(File.generated(config, place, abs_src_path=str(path)))
