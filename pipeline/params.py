"""params.yaml, read through a strict schema: an unknown key, a wrong type or a value out of range is an error.

The file is parsed by ruamel.yaml, as DVC parses it, so that both read the same values (``1e-3`` is a number to both).
Hyperparameters of one model are the keyword arguments of its classifier, see `pipeline.classifiers`.
"""

import difflib
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import InputError

FILE = Path("params.yaml")

Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Schema(BaseModel):
    """A section of params.yaml: no unknown keys, no conversion between types, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Split(Schema):
    """How the published training images are divided."""

    validation: Count  # images, stratified by digit; the rest is for training


class Augmentation(Schema):
    """Random changes that leave a digit what it is; each is drawn uniformly up to the value given."""

    shift: Annotated[float, Field(ge=0, le=14)]  # pixels of 28, each way
    rotation: Annotated[float, Field(ge=0, le=45)]  # degrees, each way
    scale: Annotated[float, Field(ge=0, lt=0.5)]  # 0.15: from 0.85 to 1.15 times
    shear: Annotated[float, Field(ge=0, lt=0.5)]  # pixels sideways per pixel of height, each way
    elastic: Annotated[float, Field(ge=0, le=3)]  # pixels, spread of a smooth random displacement; 0 is off
    flags: Annotated[float, Field(ge=0, le=1)]  # share of the ones with an upstroke, where networks augment
    pens: Annotated[float, Field(ge=0, le=1)]  # share of the images as by other pens and cameras, likewise
    copies: Count  # changed copies beside each original, written by the stage `augment`


class Explore(Schema):
    """What the stage `explore` draws."""

    samples_per_digit: Annotated[int, Field(ge=1, le=30)]
    embedded_images: Annotated[int, Field(ge=100, le=10_000)]  # points in the t-SNE map


class Gate(Schema):
    """The network that tells digits from everything else."""

    nondigits: Annotated[int, Field(ge=70)]  # pictures of what is no digit, to learn from
    epochs: Count  # passes over them
    width: Count  # channels of its first layer
    rejected: Annotated[float, Field(gt=0, lt=0.1)]  # share of validation digits that it may reject


class Evaluate(Schema):
    """What the stage `evaluate` draws."""

    gallery: Annotated[int, Field(ge=10, le=200)]  # images in a picture of mistakes or of right answers


class CrossValidation(Schema):
    """What the stage `cross_validate` repeats."""

    folds: Annotated[int, Field(ge=2, le=20)]
    images: Annotated[int, Field(ge=100)]  # of train and validation, drawn anew with every seed; all if there are fewer
    seeds: Annotated[int, Field(ge=2, le=100)]  # repetitions: `seed`, `seed` + 1, ...


class Suspects(Schema):
    """How the stage `suspects` looks for wrong labels."""

    model: str  # under `models`
    folds: Annotated[int, Field(ge=2, le=20)]
    shown: Annotated[int, Field(ge=10, le=200)]  # images in the list and the picture of each split


class Report(Schema):
    """What the stage `report` chooses the winner on."""

    choose_by: Literal["validation", "cross_validation"]  # the accuracy there


class Robustness(Schema):
    """What the stage `corrupt` spoils."""

    images: Annotated[int, Field(ge=10, le=10_000)]  # test images, each in every corruption and severity


class Runtime(Schema):
    """How the machine is used. `reproducible` pins what would make two CPUs compute different bits."""

    reproducible: bool
    accelerator: Literal["cpu", "cuda", "mps"]  # where networks learn; the others give other bytes than the CPU
    threads: Annotated[int, Field(ge=1, le=256)]


class Range(Schema):
    """Where `pipeline.tune` looks for a hyperparameter: whole numbers if both ends are."""

    low: int | float
    high: int | float
    log: bool  # as many trials between 1 and 10 as between 10 and 100

    @model_validator(mode="after")
    def _ends(self) -> "Range":
        if not (0 if self.log else -inf) < self.low < self.high:
            raise ValueError(f"Expected low < high{', both above 0' if self.log else ''}")
        return self


class Tuning(Schema):
    """What `pipeline.tune` does; no stage reads it. `spaces` maps a model to the ranges of its hyperparameters."""

    trials: Count
    images: Annotated[int, Field(ge=100)]  # of train, that a trial learns from
    spaces: dict[str, dict[str, Range]]


class Params(Schema):
    """All of params.yaml. `models` maps a model's name to its kind, its examples and its hyperparameters; `presets` is
    the same for models that `dvc repro` does not build.
    """

    dataset: str
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    split: Split
    augmentation: Augmentation
    explore: Explore
    gate: Gate
    evaluate: Evaluate
    cross_validation: CrossValidation
    suspects: Suspects
    report: Report
    robustness: Robustness
    runtime: Runtime
    tuning: Tuning
    models: dict[str, dict[str, Any]] = Field(min_length=1)
    presets: dict[str, dict[str, Any]]


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
    key = ".".join(str(part) for part in problem["loc"])
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
