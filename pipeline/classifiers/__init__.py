"""One file per kind of model, found by its name: `kind: svm` in params.yaml stands for svm.py.

Such a file has

    build(shape, classes, *, ...)  returns an unfitted model: a scikit-learn pipeline that classifies rows of features,
                                   or a torch network from standardised images (n, *shape) to logits (n, classes)
    fit(model, context, *, ...)    fits it and returns a FittedModel: `pipeline.training.estimators.fit`,
                                   `pipeline.training.networks.fit`, or a function of its own

The keyword arguments of both, with their types and limits, are the hyperparameters that params.yaml must give.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

from pydantic import create_model

from digits.errors import InputError
from pipeline.datasets.arrays import Shape
from pipeline.params import STORED_POLICY, Augmentation, Params, Schema, check
from pipeline.training import FittedModel, TrainingContext

TrainingSet = Literal["prepared", "augmented"]


@dataclass(frozen=True)
class ModelConfig:
    """One model of params.yaml, validated.

    Attributes:
        name, kind: in params.yaml.
        training_set: prepared or augmented.
        augmentation, policy: the name of the augmentation policy, and its values.
        copies: augmented copies of each image, if the training set is augmented.
        hyperparameters: the keyword arguments of `build` and `fit`.
    """

    name: str
    kind: str
    training_set: TrainingSet
    augmentation: str
    policy: Augmentation
    copies: int
    hyperparameters: dict[str, Any]

    @property
    def batch_augmentation(self) -> Augmentation | None:
        """Return the policy for batches; None if the policy changes nothing or was applied to the training set."""
        return None if self.training_set == "augmented" or self.policy.changes_nothing else self.policy

    def for_dataset(self, about: Mapping[str, Any]) -> "ModelConfig":
        """Return this configuration with what of it applies to a dataset: of its policy, see
        `Augmentation.for_dataset`, and `crop` if the images are digits, because others may have no empty border.
        """
        hyperparameters = dict(self.hyperparameters)
        if "crop" in hyperparameters and not about["digits"]:
            hyperparameters["crop"] = 0
        return replace(self, policy=self.policy.for_dataset(about), hyperparameters=hyperparameters)

    def in_one_process(self) -> "ModelConfig":
        """Return this configuration for one device: several would start the whole program again."""
        if "trainer" not in self.hyperparameters:
            return self
        alone = self.hyperparameters["trainer"].model_copy(update={"devices": 1, "num_nodes": 1, "strategy": "auto"})
        return replace(self, hyperparameters=self.hyperparameters | {"trainer": alone})

    def build(self, shape: Shape, classes: int) -> Any:
        """Return the unfitted model for images of a `shape` and a number of `classes`."""
        build = _module(self.kind).build
        return build(shape, classes, **{key: self.hyperparameters[key] for key in _keywords(build)})

    def fit(self, context: TrainingContext) -> FittedModel:
        """Build the model and fit it.

        Raises:
            InputError: it does not fit the images.
        """
        fit = _module(self.kind).fit
        model = self.build(context.train.shape, context.classes)
        fitted: FittedModel = fit(model, context, **{key: self.hyperparameters[key] for key in _keywords(fit)})
        return fitted


def kinds() -> list[str]:
    """Return the names of the files in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def model_config(name: str, settings: Params, section: Literal["models", "presets"] = "models") -> ModelConfig:
    """Return the validated entry `name` in a `section` of params.yaml.

    Raises:
        InputError: no such model, kind or policy, or hyperparameters that do not fit the kind.
    """
    models: dict[str, dict[str, Any]] = getattr(settings, section)
    where = f"params.yaml: {section}.{name}"
    if name not in models:
        raise InputError(f"{where}: no such model. Allowed: {', '.join(models)}.")
    entry = models[name]
    if entry.get("kind") not in kinds():
        raise InputError(f"{where}.kind: found {entry.get('kind')!r}. Allowed: {', '.join(kinds())}.")
    module = _module(entry["kind"])
    fields: dict[str, Any] = {
        "kind": (str, ...),
        "training_set": (TrainingSet, ...),
        "augmentation": (str, ...),
        **_keywords(module.build),
        **_keywords(module.fit),
    }
    values = dict(check(create_model(entry["kind"], __base__=Schema, **fields), entry, where))
    kind, training_set, augmentation = (values.pop(key) for key in ("kind", "training_set", "augmentation"))
    policy = settings.policy(augmentation, f"{section}.{name}.augmentation")
    if training_set == "augmented" and augmentation != STORED_POLICY:
        raise InputError(
            f"{where}.augmentation: found {augmentation!r}, expected {STORED_POLICY!r}, the policy of data/augmented, "
            "since training_set is augmented."
        )
    return ModelConfig(name, kind, training_set, augmentation, policy, settings.augment.copies, values)


def _module(kind: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{kind}")


def _keywords(function: Any) -> dict[str, Any]:
    """Return pydantic's fields for the keyword-only arguments of `function`."""
    arguments = inspect.signature(function, eval_str=True).parameters.values()
    return {a.name: (a.annotation, ...) for a in arguments if a.kind is a.KEYWORD_ONLY}
