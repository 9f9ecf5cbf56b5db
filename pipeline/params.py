"""params.yaml, validated against a strict schema: an unknown key, a wrong type or a value out of range is an error.

ruamel.yaml parses the file because DVC uses it too: both then read the same values (``1e-3`` is a number to both).
The hyperparameters of a model are the keyword arguments of its classifier, see `pipeline.classifiers`.

The name of a model becomes part of commands and paths in dvc.yaml, which is why it is restricted. DVC itself does not
check it: `python -m pipeline.params`, which `make repro` runs first, does.
"""

import difflib
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from digits import errors
from digits.errors import InputError

FILE = Path("params.yaml")
STORED_POLICY = "standard"  # the augmentation policy of data/augmented
OWN_NAMES = {  # of the pipeline's files and folders in models, metrics, plots, reports and results; not of a model
    *("best", "canonicalizer", "classifiers", "ood_detector"),
    *("corrupt", "evaluation", "explore", "label_errors", "outliers", "training"),
    *("data_card", "figures", "index", "model_card", "report"),
    *("cross_validation", "data", "leaderboard", "robustness"),
}


def _not_own(name: str) -> str:
    if name in OWN_NAMES:
        raise ValueError("The pipeline uses this name itself")
    return name


def _share(value: float) -> float:
    if value >= 1 and value != int(value):
        raise ValueError("Expected a whole number, or a fraction between 0 and 1")
    return value if value < 1 else int(value)


ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_not_own)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0), AfterValidator(_share)]  # a number, or below 1 a fraction
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Schema(BaseModel):
    """A section of params.yaml: no unknown keys, no conversion between types, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Split(Schema):
    """How the published training images are divided."""

    validation: Share  # a number of images, or below 1 the fraction of them; stratified by class


class Folder(Schema):
    """The dataset `folder`: images of one's own in data/own, see `pipeline.datasets.folder`."""

    title: Annotated[str, Field(min_length=1)]  # for reports
    height: Annotated[int, Field(ge=1, le=1024)]  # pixels, to which images are resized
    width: Annotated[int, Field(ge=1, le=1024)]  # pixels
    color: Literal["grey", "rgb"]  # of the prepared images
    test: Annotated[float, Field(gt=0, lt=1)]  # fraction for the test set, if there are no folders train and test
    digits: bool  # handwritten digits 0 to 9, bright on dark, 28x28 and grey: then all of the pipeline applies
    warp: Annotated[float, Field(ge=0, le=1)]  # factor of an augmentation policy's shift to elastic; 1 for writing
    horizontal_flip: bool  # swapping left and right does not change the class of an image


class Augmentation(Schema):
    """A policy of random changes that preserve the label.

    Shift, rotation, scale and shear are drawn uniformly up to the given value.
    """

    shift: Annotated[float, Field(ge=0, le=14)]  # pixels of images with sides of 28, each way
    rotation: Annotated[float, Field(ge=0, le=45)]  # degrees, each way
    scale: Annotated[float, Field(ge=0, lt=0.5)]  # 0.15: a factor from 0.85 to 1.15
    shear: Annotated[float, Field(ge=0, lt=0.5)]  # pixels sideways per pixel of height, each way
    elastic: Annotated[float, Field(ge=0, le=3)]  # pixels likewise, std of a smooth random displacement
    horizontal_flip: Fraction  # fraction of images that are mirrored, if this does not change their class
    stroke_digits: Annotated[float, Field(ge=0, le=1)]  # digits drawn from stroke models, per training image
    stroke_style: Annotated[float, Field(ge=0, le=1)]  # fraction of images whose strokes may be perturbed

    def for_dataset(self, about: Mapping[str, Any]) -> "Augmentation":
        """Return what of this policy applies to a dataset.

        Args:
            about: of the dataset, `digits`, `warp` and `horizontal_flip`, see `pipeline.datasets.records.Record`.
        """
        factors = dict.fromkeys(("shift", "rotation", "scale", "shear", "elastic"), about["warp"])
        factors |= dict.fromkeys(("stroke_digits", "stroke_style"), int(about["digits"]))
        factors["horizontal_flip"] = int(about["horizontal_flip"])
        return self.model_copy(update={name: getattr(self, name) * factor for name, factor in factors.items()})

    @property
    def changes_nothing(self) -> bool:
        """Return whether every value is zero."""
        return not any(self.model_dump().values())


class Augment(Schema):
    """What the stage `augment` stores."""

    copies: Count  # augmented copies of each training image, for models with training_set: augmented


class Explore(Schema):
    """What the stage `explore` draws."""

    samples_per_class: Annotated[int, Field(ge=1, le=30)]  # images in the plot of samples
    embedded_images: Annotated[int, Field(ge=100, le=10_000)]  # points in the t-SNE plot


class Canonicalizer(Schema):
    """How the canonicalizer's denoiser is trained."""

    max_changed: Annotated[float, Field(ge=0, lt=1)]  # fraction of the validation digits that it may take for corrupted
    width: Count  # channels of the first layer
    steps: Count  # of training
    batch_size: Annotated[int, Field(ge=10)]  # images per step
    lr: Annotated[float, Field(gt=0)]  # the largest learning rate
    weight_decay: Annotated[float, Field(ge=0)]  # of AdamW


class Detector(Schema):
    """How the OOD detector is trained."""

    augmentation: str  # a policy
    width: Count  # channels of the first layer
    steps: Count  # of training
    batch_size: Annotated[int, Field(ge=10)]  # digits, and as many outliers
    lr: Annotated[float, Field(gt=0)]  # the largest learning rate
    weight_decay: Annotated[float, Field(ge=0)]  # of AdamW


class Ood(Schema):
    """Which images a model rejects as not a digit."""

    max_false_rejection_rate: Annotated[float, Field(gt=0, lt=0.1)]  # of validation digits
    outliers: Annotated[int, Field(ge=200)]  # generated images to train on; a tenth as many for validation
    detector: Detector


class Evaluate(Schema):
    """What the stage `evaluate` draws."""

    top_k: Annotated[int, Field(ge=10, le=200)]  # images in a picture of errors or of correct predictions


class CrossValidation(Schema):
    """What the stage `cross_validate` repeats."""

    images: Annotated[list[Annotated[int, Field(ge=100)]], Field(min_length=1)]  # sizes of the learning curve
    folds: Annotated[int, Field(ge=2, le=20)]  # each in turn is held out
    seeds: Annotated[int, Field(ge=2, le=100)]  # repetitions: `seed`, `seed` + 1, ...


class LabelErrors(Schema):
    """How the stage `label_errors` finds wrong labels."""

    model: str  # under `models`
    folds: Annotated[int, Field(ge=2, le=20)]  # each in turn is predicted by a model fitted to the others
    top_k: Annotated[int, Field(ge=10, le=200)]  # images in the list and the picture of each split


class Report(Schema):
    """How the stage `report` selects the winner."""

    select_by: Literal["validation", "cross_validation"]  # the accuracy there


class Robustness(Schema):
    """What the stage `corrupt` writes."""

    images: Annotated[int, Field(ge=10, le=10_000)]  # test images, each in every corruption and severity


class Runtime(Schema):
    """How the CPU is used."""

    reproducible: bool  # restrict the CPU to instructions that give the same bits everywhere
    threads: Annotated[int, Field(ge=1, le=256)]


class Range(Schema):
    """The range of a hyperparameter in `pipeline.commands.tune`: integers if both ends are."""

    low: int | float  # the smallest value
    high: int | float  # the largest value
    log: bool  # sample the logarithm uniformly

    @model_validator(mode="after")
    def _ends(self) -> "Range":
        if not (0 if self.log else -inf) < self.low < self.high:
            raise ValueError(f"Expected low < high{', both above 0' if self.log else ''}")
        return self


class Tuning(Schema):
    """What `pipeline.commands.tune` does; no stage reads it."""

    trials: Count  # values of hyperparameters to try
    images: Annotated[int, Field(ge=100)]  # training images of a trial
    spaces: dict[str, dict[str, Range]]  # by model and hyperparameter


class Params(Schema):
    """All of params.yaml. `models` maps a model's name to its kind, training set, augmentation policy and
    hyperparameters; `presets` is the same for models that `dvc repro` does not build.
    """

    dataset: str  # a name in pipeline/datasets/records.py
    seed: Annotated[int, Field(ge=0, lt=2**31)]  # of every random number
    split: Split
    folder: Folder
    augmentation: dict[str, Augmentation]
    augment: Augment
    explore: Explore
    canonicalizer: Canonicalizer
    ood: Ood
    robustness: Robustness
    evaluate: Evaluate
    cross_validation: CrossValidation
    label_errors: LabelErrors
    report: Report
    runtime: Runtime
    tuning: Tuning
    models: dict[ModelName, dict[str, Any]] = Field(min_length=1)  # kind, data and hyperparameters by name
    presets: dict[ModelName, dict[str, Any]]  # models that `dvc repro` does not build because they take long to train

    def policy(self, name: str, where: str) -> Augmentation:
        """Return the augmentation policy `name`, which the key `where` asks for.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.augmentation:
            raise InputError(f"params.yaml: {where}: found {name!r}. Allowed: {', '.join(self.augmentation)}.")
        return self.augmentation[name]

    def with_model(self, name: str, values: dict[str, Any]) -> "Params":
        """Return a copy in which the model `name` has other `values` for some of its keys."""
        return self.model_copy(update={"models": self.models | {name: self.models[name] | values}})


S = TypeVar("S", bound=Schema)


def load(path: Path = FILE) -> Params:
    """Read params.yaml.

    Raises:
        InputError: the file is missing or malformed, or does not fit the schema.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} not found. Run this from the repository's root, where {path} is.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected a file, found a directory.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split('To suppress')[0].split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected sections ({', '.join(Params.model_fields)}), found {values!r}.")
    return check(Params, values, str(path))


def check(schema: type[S], values: dict[str, Any], where: str) -> S:
    """Return `values` as `schema`; `where` begins the message, as in "params.yaml: models.cnn".

    Raises:
        InputError: one line per value that does not fit: its key, what was found and what is allowed.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        lines = [_explain(problem, schema) for problem in error.errors()]
        raise InputError("\n       ".join(f"{where}: {line}" for line in lines)) from None


def _explain(problem: Any, schema: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in problem["loc"] if part != "[key]")  # pydantic's mark of a wrong key
    if problem["type"] == "missing":
        return f"{key}: missing."
    if problem["type"] == "extra_forbidden":
        known = _keys_beside(problem["loc"], schema)
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return f"{key}: unknown key. {f'Did you mean {near[0]!r}? ' if near else ''}Allowed: {', '.join(known)}."
    return f"{key}: found {problem['input']!r} ({type(problem['input']).__name__}). {problem['msg']}."


def _keys_beside(location: tuple[int | str, ...], schema: type[BaseModel]) -> list[str]:
    here: Any = schema
    for part in location[:-1]:  # into a section, or into a dict from names to sections
        here = get_args(here)[1] if get_args(here) else here.model_fields[str(part)].annotation
    return list(here.model_fields)


def main() -> None:
    """Check params.yaml.

    Raises:
        InputError: see `load`.
    """
    load()


if __name__ == "__main__":
    errors.run(main)
