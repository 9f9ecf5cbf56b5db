"""One file per kind of model, found by its name; `kind: svm` in params.yaml stands for svm.py.

Such a file has

    build(*, ...)           returns a model that has learned nothing: a scikit-learn classifier of rows of features,
                            or a torch network from standardised images (n, 1, 28, 28) to logits (n, 10)
    fit(model, run, *, ...) lets it learn and returns it as ONNX: `pipeline.training.estimators.fit` or
                            `pipeline.training.networks.fit`, or one of its own

and the keyword arguments of both, with their types and limits, are the hyperparameters that params.yaml must give.
"""

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from pydantic import create_model

from pipeline.errors import InputError
from pipeline.params import Schema, check
from pipeline.training import Fitted, Run


@dataclass(frozen=True)
class Plan:
    """One model of params.yaml, checked: `examples` says what it learns from."""

    kind: str
    examples: Literal["prepared", "augmented"]
    hyperparameters: dict[str, Any]

    def build(self) -> Any:
        """Return the model, which has learned nothing."""
        build = _module(self.kind).build
        return build(**{key: self.hyperparameters[key] for key in _keywords(build)})

    def train(self, run: Run) -> Fitted:
        """Build the model and let it learn."""
        fit = _module(self.kind).fit
        fitted: Fitted = fit(self.build(), run, **{key: self.hyperparameters[key] for key in _keywords(fit)})
        return fitted


def kinds() -> list[str]:
    """Return the names of the files in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def plan(name: str, models: dict[str, dict[str, Any]]) -> Plan:
    """Return what `models`, a section of params.yaml, says of the model called `name`.

    Raises:
        InputError: no such model or kind, or hyperparameters that do not fit it.
    """
    if name not in models:
        raise InputError(f"params.yaml: models.{name}: no such model. There are: {', '.join(models)}.")
    where, entry = f"params.yaml: models.{name}", models[name]
    if entry.get("kind") not in kinds():
        raise InputError(f"{where}.kind: found {entry.get('kind')!r}. Allowed: {', '.join(kinds())}.")
    module = _module(entry["kind"])
    fields: dict[str, Any] = {
        "kind": (str, ...),
        "examples": (Literal["prepared", "augmented"], ...),
        **_keywords(module.build),
        **_keywords(module.fit),
    }
    values = dict(check(create_model(entry["kind"], __base__=Schema, **fields), entry, where))
    return Plan(values.pop("kind"), values.pop("examples"), values)


def _module(kind: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{kind}")


def _keywords(function: Any) -> dict[str, Any]:
    """Return pydantic's fields for the keyword-only arguments of `function`."""
    arguments = inspect.signature(function, eval_str=True).parameters.values()
    return {a.name: (a.annotation, ...) for a in arguments if a.kind is a.KEYWORD_ONLY}
