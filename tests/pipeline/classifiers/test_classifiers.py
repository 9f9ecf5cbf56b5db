import json

import pytest
import torch

from digits.errors import InputError
from pipeline import params
from pipeline.classifiers import cnn, cnn_fast, kinds, lenet, mlp, model_config
from pipeline.datasets.arrays import Shape
from pipeline.params import Params
from tests.conftest import ROOT

SETTINGS = params.load(ROOT / "params.yaml")
MNIST = Shape(1, 28, 28)
ENTRIES = [(section, name) for section in ("models", "presets") for name in getattr(SETTINGS, section)]


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts() -> None:
    assert count(lenet.build(MNIST, 10)) == 61_706  # as published
    stages = 8 * 6 * 9 + 12 + 6 * 7 * 9 + 14
    assert (
        count(cnn.build(MNIST, 10, stem=8, stages=[[6, 7]], kernel_sizes=[3], dropout=0.0))
        == 8 * 25 + 16 + stages + 7 * 36 * 10 + 10
    )
    assert count(cnn_fast.build(MNIST, 10, crop=2)) == 8 * 25 + 16 + 8 * 24 * 9 + 48 + 24 * 64 * 9 + 128 + 2_570
    assert count(mlp.build(MNIST, 10, hidden=[512], dropout=0.0)) == 784 * 512 + 2 * 512 + 512 * 10 + 10


@pytest.mark.parametrize(
    "network",
    [
        lenet.build(MNIST, 10),
        cnn.build(MNIST, 10, stem=8, stages=[[8, 9], [10], [11]], kernel_sizes=[3], dropout=0.5),
        cnn_fast.build(MNIST, 10, crop=2),
        mlp.build(MNIST, 10, hidden=[9], dropout=0.5),
    ],
    ids=["lenet", "cnn", "cnn_fast", "mlp"],
)
def test_networks_map_images_to_logits(network: torch.nn.Module) -> None:
    assert network(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_a_crop_hides_the_outermost_pixels_and_no_others() -> None:
    torch.manual_seed(0)
    network = cnn_fast.build(MNIST, 10, crop=2).eval()
    images = torch.rand(2, 1, 28, 28)
    border = torch.nn.functional.pad(torch.zeros(24, 24), (2, 2, 2, 2), value=1.0)
    assert torch.equal(network(images), network(images + border))
    images.requires_grad_()
    network(images).square().sum().backward()
    assert images.grad is not None
    seen = images.grad.abs().sum((0, 1)) > 0
    assert seen[2:25, 2:25].all()  # the last convolutions drop a remainder
    assert not seen[border > 0].any()
    assert torch.equal(cnn_fast.Crop(0)(images), images)


@pytest.mark.parametrize(("digits", "crop"), [(True, 2), (False, 0)])
def test_only_digits_are_cropped(settings: Params, digits: bool, crop: int) -> None:
    about = {"digits": digits, "warp": 1, "horizontal_flip": False}
    for name in ("cnn_fast", "cnn"):
        config = model_config(name, settings)
        found = config.for_dataset(about).hyperparameters
        assert found == config.hyperparameters | ({"crop": crop} if name == "cnn_fast" else {})
    assert model_config("cnn_fast", settings).for_dataset(about).build(MNIST, 10)[0].width == crop


def test_feature_maps_in_channels_last_are_flattened_without_a_copy() -> None:
    maps = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    flat = cnn_fast.FlattenChannelsLast()(maps)
    assert flat.data_ptr() == maps.data_ptr()
    assert torch.equal(flat.sort(1).values, maps.flatten(1).sort(1).values)


@pytest.mark.parametrize(("section", "name"), ENTRIES)
def test_every_entry_of_params_yaml_fits_its_kind(settings: Params, section: str, name: str) -> None:
    entry = getattr(settings, section)[name]
    config = model_config(name, settings, section)
    others = ("kind", "training_set", "augmentation")
    found = json.loads(json.dumps(config.hyperparameters, default=dict))
    assert found == {key: value for key, value in entry.items() if key not in others}
    assert [config.name, *(getattr(config, key) for key in others)] == [name, *(entry[key] for key in others)]
    assert repr(found.get("epochs")) == repr(entry.get("epochs"))  # 11, not 11.0
    assert config.policy == settings.augmentation[entry["augmentation"]]
    assert config.build(MNIST, 10) is not None


def test_every_kind_has_a_model_or_a_preset(settings: Params) -> None:
    assert {getattr(settings, section)[name]["kind"] for section, name in ENTRIES} == set(kinds())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0}, "models.cnn: lr: found 0 (int). Input should be greater than 0."),
        ({"lr": "fast"}, "models.cnn: lr: found 'fast' (str). Input should be a valid number."),
        (
            {"epochs": 1.5},
            "models.cnn: epochs: found 1.5 (float). Value error, Expected a whole number",
        ),
        ({"batch_size": 64.5}, "models.cnn: batch_size: found 64.5 (float). Input should be a valid integer."),
        (
            {"dropot": 0.1},
            "models.cnn: dropot: unknown key. Did you mean 'dropout'? Allowed: kind, training_set, augmentation, stem,",
        ),
        (
            {"training_set": "all"},
            "models.cnn: training_set: found 'all' (str). Input should be 'prepared' or 'augmented'.",
        ),
        ({"kind": "cmm"}, "models.cnn.kind: found 'cmm'. Allowed: "),
        ({"augmentation": "strong"}, "models.cnn.augmentation: found 'strong'. Allowed: none, standard, ood."),
        ({"augmentation": None}, "models.cnn: augmentation: found None (NoneType). Input should be a valid string."),
        (
            {"training_set": "augmented", "augmentation": "ood"},
            "models.cnn.augmentation: found 'ood', expected 'standard', the policy of data/augmented, "
            "since training_set is augmented.",
        ),
        (
            {"training_set": "augmented", "augmentation": "none"},
            "models.cnn.augmentation: found 'none', expected 'standard', the policy of data/augmented",
        ),
    ],
)
def test_the_message_names_what_does_not_fit(settings: Params, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        model_config("cnn", settings.with_model("cnn", change))
    assert f"params.yaml: {message}" in str(caught.value)


def test_missing_hyperparameters_and_unknown_models_are_errors(settings: Params) -> None:
    without = {key: value for key, value in settings.models["svm"].items() if key != "gamma"}
    with pytest.raises(InputError, match=r"models.svm: gamma: missing"):
        model_config("svm", settings.model_copy(update={"models": {"svm": without}}))
    with pytest.raises(InputError, match=r"models.vgg: no such model. Allowed: logreg, logreg_hog, svm"):
        model_config("vgg", settings)
    with pytest.raises(InputError, match=r"presets.cnn: no such model. Allowed: cnn_best, cnn_refit, ensemble"):
        model_config("cnn", settings, "presets")


@pytest.mark.parametrize(
    ("training_set", "augmentation", "applied"),
    [("prepared", "standard", True), ("prepared", "none", False), ("augmented", "standard", False)],
)
def test_batches_are_augmented_unless_the_policy_is_none_or_applied_already(
    settings: Params, training_set: str, augmentation: str, applied: bool
) -> None:
    change = {"training_set": training_set, "augmentation": augmentation}
    config = model_config("cnn", settings.with_model("cnn", change))
    assert config.batch_augmentation == (settings.augmentation["standard"] if applied else None)


@pytest.mark.parametrize("name", ["logreg", "svm", "random_forest"])
def test_scikit_learn_with_augmented_batches_is_an_error(settings: Params, context_of, name: str) -> None:
    config = model_config(name, settings.with_model(name, {"training_set": "prepared", "augmentation": "standard"}))
    with pytest.raises(
        InputError, match=rf"models\.{name}\.augmentation: expected none, or training_set: augmented: scikit-learn's"
    ):
        config.fit(context_of(name=name, augmentation=config.batch_augmentation))
