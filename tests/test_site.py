"""The documentation site: it builds, its links lead somewhere, and the tutorial's commands work."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import unquote

import pytest
import yaml
from filelock import FileLock
from pydantic import Field

from tests.conftest import ROOT, call, set_params

TUTORIAL = ROOT / "docs/tutorial.md"
FENCE = re.compile(
    r'(?:<!-- not executed: ([^\n]+) -->\n)?^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE
)
AUTHOR = {f"GIT_{role}_{part}": "test@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
NEEDED = "needs the dependency group docs: mkdocs-material and mkdocstrings-python"
OFFLINE = ("a", "area")  # elements that load nothing by themselves

builds = pytest.mark.skipif(
    not importlib.util.find_spec("material") or not importlib.util.find_spec("mkdocstrings_handlers"),
    reason=NEEDED,
)


class Step(NamedTuple):
    """A fenced block of the tutorial; `reason` says why it is not executed."""

    reason: str
    language: str
    title: str
    text: str


class Page(HTMLParser):
    """The anchors of a page, and the addresses in it by the element that has them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("id", "name"):
                self.anchors.add(value or "")
            elif name in ("href", "src"):
                self.addresses.append((tag, value or ""))


def steps(text: str) -> list[Step]:
    """Return the fenced blocks of a document."""
    return [Step(*block) for block in FENCE.findall(text)]


def leaves(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dicts, by keys with dots."""
    for name, value in tree.items():
        yield from leaves(value, f"{key}{name}.") if isinstance(value, dict) else [(key + name, value)]


def generator(name: str) -> ModuleType:
    """Return a module of docs/generator."""
    pytest.importorskip("griffe", reason=NEEDED)
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/generator/{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """Return the module that generates the tables."""
    return generator("reference")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """Return the pages of the site, built once for all of pytest's processes; a warning is an error."""
    shared = tmp_path_factory.getbasetemp()
    folder = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "site"
    with FileLock(f"{folder}.lock"):
        if not (folder / "index.html").exists():
            call(ROOT, sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder))
    return {path: Page(path.read_text()) for path in folder.rglob("*.html")}


@builds
def test_every_link_leads_to_a_file_and_an_anchor(site: dict[Path, Page]) -> None:
    assert len(site) > 30
    for path, page in site.items():
        for _, address in page.addresses:
            if re.match(r"[a-z]+:|//", address) or path.name == "404.html":
                continue
            name, _, anchor = unquote(address).partition("#")
            target = (path.parent / name).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path.name}: {address}"
            assert not anchor or target not in site or anchor in site[target].anchors, f"{path.name}: {address}"


@builds
def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        found = [address for tag, address in page.addresses if tag not in OFFLINE and re.match(r"\w+:|//", address)]
        assert not [address for address in found if not address.startswith("data:")], path.name
    for style in next(path for path in site if path.name == "404.html").parent.rglob("*.css"):
        assert not re.search(r"""url\(["']?(?:https?:)?//|@import""", style.read_text()), style.name


@builds
def test_tables_are_filled_in_and_the_code_of_cog_is_taken_out(site: dict[Path, Page]) -> None:
    pages = {path.name: path.read_text() for path in site}
    assert "<code>runtime.threads</code>" in pages["parameters.html"]
    assert "<code>label_smoothing</code>" in pages["models.html"]
    assert "<code>fashion_mnist</code>" in pages["add-data.html"]
    assert not [name for name, text in pages.items() if "[[[cog" in text or "<!-- parameters" in text]


@builds
def test_functions_are_described(site: dict[Path, Page]) -> None:
    anchors = {anchor for page in site.values() for anchor in page.anchors}
    assert anchors >= {"pipeline.api.fit", "pipeline.api.compare", "digits.model.Classifier.load"}
    assert anchors >= {"pipeline.datasets.records.Record", "pipeline.training.networks.fit"}


def test_every_key_of_params_yaml_is_described(reference: ModuleType) -> None:
    described = [key.name for key in reference.described_keys()]
    for name, _ in leaves(yaml.safe_load((ROOT / "params.yaml").read_text())):
        assert any(reference.covers(key, name) for key in described), name


def test_every_parameter_has_a_meaning(reference: ModuleType) -> None:
    """A comment beside the field in pipeline/params.py, or beside the key in params.yaml."""
    assert [key.name for key in reference.described_keys() if not key.meaning] == []


def test_values_and_stages_of_a_parameter(reference: ModuleType) -> None:
    found = {key.name: key for key in reference.described_keys()}
    assert found["ood.max_false_rejection_rate"].stages == ("package",)
    assert found["explore.embedded_images"].stages == ("explore",)
    assert found["tuning.trials"].stages == ()
    assert {"train", "cross_validate", "label_errors"} <= set(found["models.*"].stages)
    assert "evaluate" not in found["models.*"].stages
    assert "augment" in found["augmentation.*.shift"].stages
    committed = yaml.safe_load((ROOT / "params.yaml").read_text())["augmentation"]
    assert found["augmentation.*.shift"].values == {name: policy["shift"] for name, policy in committed.items()}


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (bool, "true or false"),
        (Annotated[int, Field(ge=1)], "integer ≥ 1"),
        (Annotated[float, Field(gt=0, lt=0.1)], "number in (0, 0.1)"),
        (Annotated[float, Field(ge=0, le=3)], "number in [0, 3]"),
        (Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)], "list of: integer ≥ 1"),
        (Literal["cpu", "cuda", "mps"], "`cpu`, `cuda` or `mps`"),
        (Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)], "integer ≥ 1 or number in (0, 1)"),
    ],
)
def test_types_and_ranges_in_words(reference: ModuleType, hint: Any, words: str) -> None:
    assert reference.allowed(hint) == words


def test_docstrings_may_describe_several_attributes_at_once() -> None:
    docstrings = generator("docstrings")
    text = "Sizes.\n\nAttributes:\n    height, width: in pixels,\n        whole.\n    name: of <it>.\n\nSee a, b: c."
    assert docstrings.separated(text) == (
        "Sizes.\n\nAttributes:\n    height: in pixels,\n        whole.\n    width: in pixels,\n        whole.\n"
        "    name: of <it>.\n\nSee a, b: c."
    )
    assert (
        docstrings.escaped("to models/<model>, `<name>`\n    <code>") == "to models/&lt;model&gt;, `<name>`\n    <code>"
    )


def test_every_hyperparameter_is_described(reference: ModuleType) -> None:
    text = reference.hyperparameters()
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    for entry in (settings["models"] | settings["presets"]).values():
        assert f"## {entry['kind']}\n" in text
        for name in entry.keys() - {"kind", "training_set", "augmentation"}:
            assert re.search(rf"^\| `{name}` \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE), name


def test_the_tutorial_says_why_a_command_is_not_executed() -> None:
    blocks = [step for step in steps(TUTORIAL.read_text()) if step.language == "console"]
    assert len(blocks) == TUTORIAL.read_text().count("```console")
    assert [step.text.split()[1] for step in blocks if step.reason] == ["git", "make"]  # git clone, make quickstart
    assert all(line.startswith("$ ") for step in blocks for line in step.text.splitlines())


@pytest.mark.slow
def test_the_commands_of_the_tutorial(own_project: Path) -> None:
    printed = ""
    for step in steps(TUTORIAL.read_text()):
        if step.reason:
            continue
        if step.language == "console":
            for line in step.text.splitlines():
                printed = call(own_project, "bash", "-ec", line.removeprefix("$ "), **AUTHOR)
                print(printed)
        elif step.title == "params.yaml":
            changes = leaves(yaml.safe_load(step.text))
            set_params(own_project, {key: yaml.safe_dump(value).removesuffix("...\n") for key, value in changes})
        else:
            (own_project / step.title).write_text(step.text)
    assert printed.split()[0] in ("circle", "square", "triangle")
    assert (own_project / "metrics/my_cnn.json").exists()
    assert "my_cnn" in (own_project / "reports/index.html").read_text()
    experiments = call(own_project, "dvc", "exp", "list", "--name-only").split()
    assert len(experiments) == 2
