import pytest
import torch

from digits.errors import InputError
from pipeline import classifiers, params
from pipeline.classifiers import cnn, cnn_fast, lenet, mlp

MODELS = params.load().models
PRESETS = params.load().presets


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts() -> None:
    assert count(lenet.build()) == 61_706  # as published
    stages = 8 * 6 * 9 + 12 + 6 * 7 * 9 + 14
    assert count(cnn.build(stem=8, stages=[[6, 7]], dropout=0.0)) == 8 * 25 + 16 + stages + 7 * 36 * 10 + 10
    assert count(cnn_fast.build()) == 8 * 25 + 16 + 8 * 24 * 9 + 48 + 24 * 48 * 9 + 96 + 4_330
    assert count(mlp.build(hidden=[512], dropout=0.0)) == 784 * 512 + 2 * 512 + 512 * 10 + 10


@pytest.mark.parametrize(
    "network",
    [
        lenet.build(),
        cnn.build(stem=8, stages=[[8, 9], [10], [11]], dropout=0.5),
        cnn_fast.build(),
        mlp.build(hidden=[9], dropout=0.5),
    ],
)
def test_networks_map_images_to_logits(network: torch.nn.Module) -> None:
    assert network(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize("name", MODELS | PRESETS)
def test_every_model_of_params_yaml_fits_its_kind(name: str) -> None:
    entries = MODELS | PRESETS
    plan = classifiers.plan(name, entries)
    assert plan.hyperparameters == {k: v for k, v in entries[name].items() if k not in ("kind", "examples")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0}, "models.cnn: lr: found 0 (int). Input should be greater than 0."),
        ({"lr": "fast"}, "models.cnn: lr: found 'fast' (str). Input should be a valid number."),
        ({"batch_size": 64.5}, "models.cnn: batch_size: found 64.5 (float). Input should be a valid integer."),
        ({"dropot": 0.1}, "models.cnn: dropot: unknown key. Did you mean 'dropout'? Allowed: kind, examples, stem,"),
        ({"examples": "all"}, "models.cnn: examples: found 'all' (str). Input should be 'prepared' or 'augmented'."),
        ({"kind": "cmm"}, "models.cnn.kind: found 'cmm'. Allowed: cnn, cnn_fast, lenet, "),
    ],
)
def test_names_what_does_not_fit(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        classifiers.plan("cnn", MODELS | {"cnn": MODELS["cnn"] | change})
    assert message in str(caught.value)


def test_missing_hyperparameter_and_unknown_model() -> None:
    without = {key: value for key, value in MODELS["svm"].items() if key != "gamma"}
    with pytest.raises(InputError, match=r"models.svm: gamma: missing"):
        classifiers.plan("svm", {"svm": without})
    with pytest.raises(InputError, match=r"models.vgg: no such model. There are: logreg, svm"):
        classifiers.plan("vgg", MODELS)
