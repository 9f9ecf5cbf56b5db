"""Tables of the reference: the keys of params.yaml, the hyperparameters of each kind of model, and the datasets."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import griffe
import yaml
from pydantic.fields import FieldInfo

from pipeline import params
from pipeline.datasets import records
from pipeline.params import Params, Schema

ROOT = Path(__file__).parents[2]
ANY = "*"  # in a key: any name
TYPES = {int: "integer", float: "number", bool: "true or false", str: "text", NoneType: "nothing"}
COMMENT = re.compile(r"^    (\w+): .*?  # (.+)$", re.MULTILINE)  # of a field, in the source of its class
YAML_COMMENT = re.compile(r"^( *)(\w+):[^#\n]*(?:# (.+))?$")
MOST_VALUES = 4  # in a cell
NETWORKS, ESTIMATORS = "pipeline.training.networks.fit", "pipeline.training.estimators.fit"


@dataclass(frozen=True)
class Key:
    """A key of params.yaml, with dots between sections and ANY for names that users choose.

    Attributes:
        allowed: type and range.
        values: the committed ones, by the names that ANY stands for.
        meaning: the comment beside the key in pipeline/params.py, or else in params.yaml.
        stages: that run again if the key changes.
    """

    name: str
    allowed: str
    values: dict[str, Any]
    meaning: str
    stages: tuple[str, ...]


def parameters() -> str:
    """Return a section per top-level key of params.yaml, with a table of its keys."""
    sections: dict[str, list[Key]] = {}
    for key in described_keys():
        sections.setdefault(key.name.split(".")[0], []).append(key)
    return "\n".join(line for name, found in sections.items() for line in [f"## {name}", "", *_section(found), ""])


def described_keys() -> Iterator[Key]:
    """Yield the keys of params.yaml, in the order of the schema."""
    committed = yaml.safe_load((ROOT / params.FILE).read_text())
    readers, comments = stages(), _yaml_comments((ROOT / params.FILE).read_text())
    for name, hint, comment in _fields(Params):
        read_by = tuple(stage for stage, entries in readers.items() if any(covers(entry, name) for entry in entries))
        meaning = comment or comments.get(name, "")
        yield Key(name, allowed(hint), dict(_values(committed, name.split("."))), meaning, read_by)


def stages() -> dict[str, list[str]]:
    """Return the entries under `params` of each stage in dvc.yaml, with ANY for each `${...}`."""
    found = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    entries = {name: stage.get("do", stage).get("params", []) for name, stage in found.items()}
    return {name: [re.sub(r"\$\{[^}]+\}", ANY, entry) for entry in listed] for name, listed in entries.items()}


def covers(entry: str, key: str) -> bool:
    """Return whether `entry`, a key or a section, contains `key`."""
    parts, wanted = entry.split("."), key.split(".")
    return len(parts) <= len(wanted) and all(
        ANY in pair or len(set(pair)) == 1 for pair in zip(parts, wanted, strict=False)
    )


def allowed(hint: Any) -> str:
    """Return type and range of a type hint in words."""
    base, *details = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    constraints = [limit for detail in details if isinstance(detail, FieldInfo) for limit in detail.metadata]
    bounds = {
        name: getattr(limit, name)
        for limit in constraints
        for name in ("ge", "gt", "le", "lt", "min_length")
        if hasattr(limit, name)
    }
    if get_origin(base) is Literal:
        *others, last = (f"`{value}`" for value in get_args(base))
        return f"{', '.join(others)} or {last}" if others else last
    if get_origin(base) in (Union, UnionType):
        return " or ".join(dict.fromkeys(allowed(part) for part in get_args(base))).replace(
            "integer or number", "number"
        )
    if get_origin(base) is list:
        return f"list of: {allowed(get_args(base)[0])}"
    return TYPES.get(base, "mapping") + _range(bounds)


def hyperparameters() -> str:
    """Return a section per kind of model, with a table of its hyperparameters."""
    package = _classifiers()
    training = package.modules_collection["pipeline"]["training"]
    lines = ["## All networks", "", *_arguments(training["networks"]["fit"]), ""]
    lines += ["## All models of scikit-learn", "", *_arguments(training["estimators"]["fit"]), ""]
    for kind, module in sorted(package.modules.items()):
        group = _group(module)
        also = {
            NETWORKS: "[all networks](#all-networks)",
            ESTIMATORS: "[all models of scikit-learn](#all-models-of-scikit-learn)",
        }
        lines += [f"## {kind}", "", module.docstring.value, ""]
        own = _arguments(module["build"]) + ([] if group else _arguments(module["fit"])[2:])
        lines += [*own, ""] if len(own) > 2 else []
        lines += (
            [f"{'Further hyperparameters' if len(own) > 2 else 'Hyperparameters'}: {also[group]}.", ""] if group else []
        )
    return "\n".join(lines)


def datasets() -> str:
    """Return a table of the known datasets."""
    columns = ("dataset", "content", "classes", "training images", "test images", "licence")
    lines = [_row(*columns), _row(*["---"] * len(columns))]
    for name, record in records.RECORDS.items():
        if name != records.FOLDER:
            counts = (len(record.classes), record.train, record.test)
            lines.append(_row(f"`{name}`", record.title, *(f"{count:,}" for count in counts), record.licence))
    return "\n".join(lines)


def _section(found: list[Key]) -> list[str]:
    together = len({key.stages for key in found}) == 1
    lines = [f"Read by: {_stage_names(found[0].stages)}.", ""] if together else []
    header = ["key", "allowed", "in params.yaml", "meaning", *([] if together else ["read by"])]
    lines += [_row(*header), _row(*["---"] * len(header))]
    for key in found:
        cells = [f"`{key.name}`", key.allowed, _shown(key.values), key.meaning]
        lines.append(_row(*cells, *([] if together else [_stage_names(key.stages)])))
    return lines


def _stage_names(names: tuple[str, ...]) -> str:
    others = [name for name in stages() if name not in names]
    if len(others) < len(names):
        return f"all stages except {', '.join(others)}" if others else "all stages"
    return ", ".join(names) or "no stage"


def _fields(schema: type[Schema], section: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield key, type hint and comment of the fields in `schema` and in the sections within."""
    comments = dict(COMMENT.findall(inspect.getsource(schema)))
    for name, hint in get_type_hints(schema, include_extras=True).items():
        if name not in schema.model_fields:
            continue
        key, inner = section + name, hint
        while get_origin(inner) is dict:
            key, inner = f"{key}.{ANY}", get_args(inner)[1]
            if get_args(inner)[1:] == (Any,):
                break
        if inspect.isclass(inner) and issubclass(inner, Schema):
            yield from _fields(inner, f"{key}.")
        else:
            yield key, hint, schema.model_fields[name].description or comments.get(name, "")


def _values(tree: Any, path: list[str], name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values at `path` in `tree`, with the names that ANY stands for."""
    if not path:
        yield name, tree
    elif path[0] == ANY:
        for key, value in (tree or {}).items():
            yield from _values(value, path[1:], f"{name}.{key}".lstrip("."))
    elif path[0] in (tree or {}):
        yield from _values(tree[path[0]], path[1:], name)


def _shown(values: dict[str, Any]) -> str:
    texts = {
        name: yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
        for name, value in values.items()
    }
    if any(isinstance(value, dict) for value in values.values()) or len(texts) > MOST_VALUES:
        return ", ".join(f"`{name}`" for name in texts) if len(texts) <= MOST_VALUES * 2 else "see params.yaml"
    return ", ".join(f"`{text}`" + (f" ({name})" if name else "") for name, text in texts.items()) or "-"


def _range(bounds: dict[str, Any]) -> str:
    lower, upper = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if lower is not None and upper is not None:
        return f" in {'[' if 'ge' in bounds else '('}{lower}, {upper}{']' if 'le' in bounds else ')'}"
    if lower is not None:
        return f" {'≥' if 'ge' in bounds else '>'} {lower}"
    return "" if upper is None else f" {'≤' if 'le' in bounds else '<'} {upper}"


def _yaml_comments(text: str) -> dict[str, str]:
    """Return the comments behind the keys in `text`, YAML indented by two spaces."""
    found, path = {}, list[str]()
    for line in text.splitlines():
        if match := YAML_COMMENT.match(line):
            path = [*path[: len(match[1]) // 2], match[2]]
            found[".".join(path)] = match[3] or ""
    return found


@cache
def _classifiers() -> Any:
    extensions = griffe.load_extensions(str(Path(__file__).with_name("docstrings.py")))
    package = griffe.load("pipeline", search_paths=[str(ROOT)], extensions=extensions)
    return package["classifiers"]


def _group(module: Any) -> str:
    """Return the function that `module` imports as its `fit`, or whose arguments its own has; empty if neither."""
    fit = module["fit"]
    if fit.is_alias:
        return str(fit.target_path)
    shared = module.modules_collection["pipeline"]["training"]["estimators"]["fit"]
    return ESTIMATORS if [a.name for a in _keywords(fit)] == [a.name for a in _keywords(shared)] else ""


def _keywords(function: Any) -> list[Any]:
    return [a for a in function.parameters if a.kind is griffe.ParameterKind.keyword_only]


def _arguments(function: Any) -> list[str]:
    """Return a table of the keyword-only arguments of `function`."""
    sections = function.docstring.parse("google", warnings=False)
    meanings = {a.name: a.description for s in sections if s.kind.value == "parameters" for a in s.value}
    lines = [_row("hyperparameter", "allowed", "meaning"), _row(*["---"] * 3)]
    for argument in _keywords(function):
        section = function.module.classes.get(str(argument.annotation))
        if section:
            lines.append(_row(f"`{argument.name}`", "mapping", meanings.get(argument.name, "")))
            comments = dict(COMMENT.findall(section.source))
            for key, field in section.attributes.items():
                if "property" not in field.labels:
                    hint = _evaluated(field.annotation, function.module)
                    lines.append(_row(f"`{argument.name}.{key}`", allowed(hint), comments.get(key, key)))
            continue
        hint = _evaluated(argument.annotation, function.module)
        lines.append(_row(f"`{argument.name}`", allowed(hint), meanings.get(argument.name, "")))
    return lines


def _evaluated(annotation: Any, module: Any) -> Any:
    """Return the type hint that an annotation in `module` stands for."""
    names = vars(params) | {"Annotated": Annotated, "Literal": Literal}
    for name, attribute in module.attributes.items():
        if "Annotated" in str(attribute.value):
            names[name] = eval(str(attribute.value), dict(names))  # noqa: S307
    return eval(str(annotation), dict(names))  # noqa: S307


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", r"\|").split()) for cell in cells) + " |"
