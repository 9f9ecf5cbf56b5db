"""Command: start a new model from an existing kind: `python -m pipeline.commands.new_model my_cnn --like cnn`.

It writes pipeline/classifiers/my_cnn.py, a copy of cnn.py to be changed; an entry in params.yaml with the
hyperparameters of the first model of that kind; and a test, which passes at once.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.commands.new_model")

import argparse
import re
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import create_model
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from digits.errors import InputError
from pipeline import params
from pipeline.classifiers import kinds
from pipeline.params import ModelName, Schema

CLASSIFIERS, TESTS = Path("pipeline/classifiers"), Path("tests/pipeline/classifiers")
SECTIONS = ("models", "presets")  # of params.yaml; entries to copy are looked for in this order
TEST = '''"""Tests of the model {name}."""

import numpy as np
import pytest

from pipeline.classifiers import model_config
from pipeline.datasets.arrays import Shape


@pytest.mark.parametrize(("shape", "classes"), [(Shape(1, 28, 28), 10), (Shape(3, 40, 24), 3)])
def test_onnx_runtime_gives_the_same_probabilities(settings, fit_few, infer, shape: Shape, classes: int) -> None:
    fitted, images = fit_few(model_config("{name}", settings), shape, classes)
    expected, found = fitted.predict_proba(images), infer(fitted.export(), images)
    assert found.shape == (len(images), classes)
    assert np.abs(found - expected).max() < 1e-4
    assert (found.argmax(axis=1) == images.labels).mean() > 1.5 / classes
'''


def main(*arguments: str) -> None:
    """Write the files of the model that the command line names, and print what to do next."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.commands.new_model", description="Start a model of your own from an existing kind."
    )
    parser.add_argument("name", help="of the model and of its kind: a-z, 0-9 and _, beginning with a letter")
    parser.add_argument("--like", metavar="KIND", required=True, choices=kinds(), help=", ".join(kinds()))
    options = parser.parse_args(arguments)
    for path, text in files(options.name, options.like).items():
        path.write_text(text, encoding="utf-8")
    print(message(options.name, options.like))


def files(name: str, like: str) -> dict[Path, str]:
    """Return the files of a new model `name` like the kind `like`, with their contents.

    Raises:
        InputError: the name is not allowed or is in use, or params.yaml has no entry to copy.
    """
    params.check(create_model("Arguments", __base__=Schema, name=(ModelName, ...)), {"name": name}, "new_model")
    module, test = CLASSIFIERS / f"{name}.py", TESTS / f"test_{name}.py"
    for path in (module, test):
        if path.exists():
            raise InputError(f"{path} exists already. Choose another name, or delete it.")
    source = (CLASSIFIERS / f"{like}.py").read_text(encoding="utf-8")
    return {
        module: source.replace('"""', f'"""{name}, which began as a copy of {like}: describe it here.\n\n', 1),
        test: TEST.format(name=name),
        params.FILE: with_entry(params.FILE.read_text(encoding="utf-8"), name, like),
    }


def with_entry(text: str, name: str, like: str) -> str:
    """Return the `text` of params.yaml with an entry `name`, whose kind is `name` too, at the end of `models`. It is a
    copy, with its comments, of the first entry of the kind `like`; every other line is unchanged.

    Raises:
        InputError: there is such a model already, or none of that kind, or entries are not written one key per line.
    """
    tree = YAML().load(text)
    for section in SECTIONS:
        if name in tree[section]:
            raise InputError(f"params.yaml: {section}.{name} exists already. Choose another name, or delete the entry.")
    found = [(section, key) for section in SECTIONS for key in tree[section] if tree[section][key].get("kind") == like]
    if not found:
        raise InputError(
            f"params.yaml: expected a model of kind {like} under models or presets, to copy its hyperparameters, found "
            f"none. Add one, or write the entry models.{name} yourself."
        )
    section, key = found[0]
    lines = text.splitlines()
    first, *values = _entry(lines, tree[section].lc.key(key)[0])
    indent = first[: len(first) - len(first.lstrip())]
    last = tree["models"].lc.key(list(tree["models"])[-1])[0]
    end = last + len(_entry(lines, last))
    lines[end:end] = [f"{indent}{name}:", *(re.sub(r"^( +kind: *)[^ ]+", rf"\g<1>{name}", line) for line in values)]
    changed = "\n".join(lines) + "\n"
    _check_change(text, changed, name, tree[section][key])
    return changed


def _entry(lines: list[str], start: int) -> list[str]:
    """Return the lines of the entry whose key is in line `start`: all that follow and are indented further."""
    indent = len(lines[start]) - len(lines[start].lstrip())
    deeper = takewhile(lambda line: line.startswith(" " * (indent + 1)), lines[start + 1 :])
    return [lines[start], *deeper]


def _check_change(before: str, after: str, name: str, entry: dict[str, Any]) -> None:
    """Check that the only difference between two texts of params.yaml is the model `name`.

    Raises:
        InputError: it is not.
    """
    yaml = YAML(typ="safe", pure=True)
    expected = yaml.load(before)
    expected["models"][name] = {**entry, "kind": name}
    try:
        same = yaml.load(after) == expected
    except YAMLError:
        same = False
    if not same:
        raise InputError(
            "params.yaml: expected models and presets with one key per line and indented alike, found another layout. "
            f"Change it, or write the entry models.{name} yourself."
        )


def message(name: str, like: str) -> str:
    """Return what was written and what to do next."""
    module, test = CLASSIFIERS / f"{name}.py", TESTS / f"test_{name}.py"
    return f"""\
{module}: a copy of {like}.py to be changed. Keyword-only arguments of build and fit are hyperparameters.
params.yaml: models.{name}, the values of these hyperparameters.
{test}: compares the model with its ONNX file. To run it:
  python -m pytest -n 0 {test}
To train and evaluate the model and add it to the report:
  dvc repro"""
