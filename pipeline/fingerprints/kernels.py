"""The numerical kernels that the pipeline uses, at its shapes, each with the stages whose outputs it determines.

Layers of the networks are found by running the networks of params.yaml once; their forward and backward passes then run
alone. Everything is initialised with seeds: no kernel reads data or trained weights.

A kernel has a definition: a digest of its name, which contains its parameters, and of the code that it runs. Results
are compared only if their definitions are the same.
"""

import ast
import copy
import hashlib
import importlib
import inspect
import pkgutil
import textwrap
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnxruntime
import torch
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, log_softmax, softmax

from digits import measurements, normalise
from digits.interface import INPUT, SIZE
from pipeline.classifiers import ModelConfig, model_config
from pipeline.datasets import arrays, resizing
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import DIGIT, to_onnx
from pipeline.ood import detector, lookalikes, outliers
from pipeline.params import STORED_POLICY, Params
from pipeline.reporting import plots
from pipeline.robustness import canonicalize, corruptions, denoiser, random_corruptions
from pipeline.training import (
    augmentation,
    calibration,
    coupling,
    ensemble,
    estimators,
    hog,
    numerics,
    optimizer,
    redraw,
    small_cnn,
    stroke_digits,
    strokes,
)
from pipeline.training.networks import separate

SEED = 20
STEPS = 2  # of the optimiser, in a kernel that trains
IMAGES = 500  # that a kernel gets if the pipeline's number would take too long
PREDICTED = 100  # images that networks predict
DRAWN = 16  # images that a kernel draws or corrupts one by one
TREES, ITERATIONS = 4, 30  # of the random forest, and of L-BFGS
FEATURES = 512  # of histograms of oriented gradients
CLASSES = detector.OUTLIER + 1  # of the OOD detector
LEARNED = ("train_canonicalizer", "train_ood")  # stages that train networks other than models

Result = np.ndarray | torch.Tensor | bytes | float
Code = ModuleType | type | Callable[..., object]


@dataclass(frozen=True)
class Kernel:
    """A kernel.

    Attributes:
        name: unique; contains the parameters and shapes.
        function: returns the results for `arguments`.
        stages: of dvc.yaml, whose outputs depend on it.
        code: the modules of this project that `function` runs.
        restricted: whether the pipeline's settings restrict it to instructions that are the same on all processors.
    """

    name: str
    function: Callable[..., Iterable[Result]]
    arguments: tuple[Any, ...]
    stages: tuple[str, ...]
    code: tuple[Code, ...] = ()
    restricted: bool = True

    def definition(self) -> str:
        """Return a digest of what is computed: eight hexadecimal digits."""
        parts = [self.name, _code(self.function), *(_code(function) for function in SHARED), *map(_code, self.code)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]

    def fingerprint(self) -> str:
        """Run the kernel and return a digest of its results: sixteen hexadecimal digits."""
        torch.manual_seed(SEED)
        digest = hashlib.sha256()
        for result in self.function(*self.arguments):
            if isinstance(result, bytes):
                digest.update(result)
                continue
            array = result.detach().numpy() if isinstance(result, torch.Tensor) else np.asarray(result)
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


@cache
def _code(part: Any) -> str:
    """Return the source of `part` without comments and docstrings."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[:1] = [ast.Pass()]
    return ast.unparse(tree)


def kernels(settings: Params) -> list[Kernel]:
    """Return all kernels of the pipeline that `settings` describes; those of several networks are listed once."""
    found: dict[str, Kernel] = {}
    for part in (of_torch, of_networks, of_training_data, of_estimators, of_numpy, of_opencv, of_plots, of_onnxruntime):
        for kernel in part(settings):
            same = found.get(kernel.name)
            stages = tuple(dict.fromkeys((*same.stages, *kernel.stages))) if same else kernel.stages
            found[kernel.name] = Kernel(**{**vars(kernel), "stages": stages})
    return list(found.values())


def fitting(*models: str) -> tuple[str, ...]:
    """Return the stages that fit `models`."""
    return tuple(f"{stage}@{model}" for model in models for stage in ("train", "cross_validate"))


# Inputs


def rng(name: str) -> np.random.Generator:
    """Return random numbers of their own for `name`."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


def normal(name: str, *shape: int) -> torch.Tensor:
    """Return normal float32 random numbers."""
    return torch.from_numpy(rng(name).standard_normal(shape, np.float32))


def images(count: int) -> LabelledImages:
    """Return `count` images of ten patterns of 4x4 blocks, with noise, by integer arithmetic only."""
    random = rng("images")
    patterns = np.kron(random.integers(0, 2, (10, 4, 4)), np.ones((7, 7), int)) * random.integers(60, 180, (10, 1, 1))
    labels = np.arange(count) % 10
    noise = random.integers(0, 76, (count, SIZE, SIZE)) * (random.random((count, SIZE, SIZE)) < 0.5)
    return LabelledImages((patterns[labels] + noise).astype(np.uint8), labels.astype(np.uint8))


def scaled(count: int) -> torch.Tensor:
    """Return `images` as networks take them, (count, 1, 28, 28) float32 in [0, 1]."""
    return torch.from_numpy(images(count).images)[:, None].float() / 255


def targets(count: int) -> torch.Tensor:
    """Return the labels of `images`, (count,) int64."""
    return torch.from_numpy(images(count).labels.astype(np.int64))


# Networks


@dataclass(frozen=True)
class Network:
    """A network of the pipeline, as it is trained.

    Attributes:
        name: of the model in params.yaml, or what it is.
        module: from images (n, 1, 28, 28) to logits, or to several tensors.
        batch: the number of images in a training step.
        stages: that train it.
        code: that defines it.
        lr, weight_decay, label_smoothing: of the training.
    """

    name: str
    module: nn.Module
    batch: int
    stages: tuple[str, ...]
    code: tuple[Code, ...]
    lr: float
    weight_decay: float
    label_smoothing: float = 0.0


def networks(settings: Params) -> list[Network]:
    """Return the networks that the stages train, with seeded weights."""
    torch.manual_seed(SEED)
    found = []
    for config in configs(settings):
        module, how = config.build(DIGIT, 10), config.hyperparameters
        if isinstance(module, nn.Module):
            kind = importlib.import_module(f"pipeline.classifiers.{config.kind}")
            numbers = {key: how[key] for key in ("lr", "weight_decay", "label_smoothing")}
            batch, stages = how["batch_size"], (*fitting(config.name), *_label_errors(settings, config.name))
            for member in separate(module):
                standardised = nn.Sequential(ensemble.Standardise(0.13, 0.31), member)
                found.append(Network(config.name, standardised, batch, stages, (kind.build, ensemble), **numbers))
    restoring, detecting = settings.canonicalizer, settings.ood.detector
    for name, module, training, batch in (
        ("denoiser", denoiser.Denoiser(restoring.width), restoring, restoring.batch_size),
        ("auxiliary classifier", small_cnn.build(denoiser.AUXILIARY_WIDTH, 10), restoring, restoring.batch_size),
        ("OOD detector", small_cnn.build(detecting.width, CLASSES), detecting, 2 * detecting.batch_size),
    ):
        code = denoiser.Denoiser if isinstance(module, denoiser.Denoiser) else small_cnn
        stages = LEARNED if training is restoring else ("train_ood",)  # which restores images too
        found.append(Network(name, module, batch, stages, (code,), training.lr, training.weight_decay))
    return found


def configs(settings: Params) -> list[ModelConfig]:
    """Return the models of `settings`, validated."""
    return [model_config(name, settings) for name in settings.models]


def using_hog(settings: Params) -> list[str]:
    """Return the models that are fitted to histograms of oriented gradients."""
    return [config.name for config in configs(settings) if config.hyperparameters.get("features") == "hog"]


def with_strokes(settings: Params) -> list[str]:
    """Return the models that are trained on digits drawn from stroke models too."""
    found = [config for config in configs(settings) if config.batch_augmentation]
    return [config.name for config in found if config.policy.stroke_digits]


def _label_errors(settings: Params, model: str) -> tuple[str, ...]:
    return ("label_errors",) if settings.label_errors.model == model else ()


def of_networks(settings: Params) -> Iterator[Kernel]:
    """Yield the layers of all networks, and each network's training and prediction as a whole."""
    for network in networks(settings):
        for layer, shape in layers(network.module, network.batch):
            name = f"{layer}, input {'x'.join(map(str, shape))}"
            yield Kernel(name, layer_passes, (layer, shape), network.stages)
        how = f"{_sizes(network.module)}, lr {network.lr}, weight decay {network.weight_decay}"
        name = f"{network.name}: {STEPS} training steps of {network.batch} images {how}"
        code = (*network.code, optimizer.optimizer)
        yield Kernel(name, training_steps, (network,), network.stages, code)
    for config in configs(settings):
        if isinstance(module := config.build(DIGIT, 10), nn.Module):
            stages = (*fitting(config.name), *_label_errors(settings, config.name))
            kind = importlib.import_module(f"pipeline.classifiers.{config.kind}")
            averaged = ensemble.Ensemble(separate(module), config.hyperparameters["tta"])
            name = f"{config.name}: prediction, tta {averaged.tta} {_sizes(module)}"
            yield Kernel(name, prediction, (averaged,), stages, (kind.build, ensemble))
    canonicalizer = canonicalize.Canonicalizer(denoiser.Denoiser(settings.canonicalizer.width), 0.0)
    code = (canonicalize, denoiser.Denoiser, numerics)
    yield Kernel(f"canonicalizer {_sizes(canonicalizer)}", prediction, (canonicalizer,), ("train_ood",), code)
    digitness = detector.Digitness(small_cnn.build(settings.ood.detector.width, CLASSES), 1.7)
    yield Kernel(
        f"OOD detector {_sizes(digitness)}",
        prediction,
        (digitness,),
        ("train_ood",),
        (detector.Digitness, small_cnn),
    )


def _sizes(module: nn.Module) -> str:
    """Return the number of parameters of `module`, which changes with its widths."""
    return f"({sum(parameter.numel() for parameter in module.parameters())} parameters)"


def layers(network: nn.Module, batch: int) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Return the layers of `network` with parameters, pooling or a nonlinearity, and the shapes of their inputs in a
    training step, each once.
    """
    found: dict[str, tuple[nn.Module, tuple[int, ...]]] = {}

    def note(layer: nn.Module, inputs: tuple[torch.Tensor], output: object) -> None:
        shape = (batch, *inputs[0].shape[1:])
        found[f"{layer} {shape}"] = (layer, shape)

    network = copy.deepcopy(network).eval()
    for layer in network.modules():
        if not list(layer.children()) and type(layer).__module__.startswith("torch."):
            layer.register_forward_hook(note)
    with torch.no_grad():
        network(scaled(2))
    return [(layer, shape) for layer, shape in found.values() if not isinstance(layer, nn.Flatten)]


def layer_passes(layer: nn.Module, shape: tuple[int, ...]) -> Iterator[torch.Tensor]:
    """Yield the output of `layer` for normal inputs in channels_last, and the gradients."""
    layer = _initialised(layer)
    inputs = normal(f"{shape}", *shape)
    if inputs.dim() == 4:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    output = layer(inputs.requires_grad_())
    output.backward(normal("gradient", *output.shape))
    assert inputs.grad is not None
    yield from (output, inputs.grad)
    yield from (parameter.grad for parameter in layer.parameters() if parameter.grad is not None)
    yield from layer.buffers()


def training_steps(network: Network) -> Iterator[torch.Tensor]:
    """Yield losses, weights and running statistics of training steps on `images`."""
    module = _initialised(network.module)
    adamw, schedule = optimizer.optimizer(module, network.lr, network.weight_decay, STEPS)
    for step in range(STEPS):
        torch.manual_seed(SEED + step)
        output = module(scaled(network.batch))
        if isinstance(output, tuple):  # restored pixels, and whether the image is corrupted
            loss = binary_cross_entropy_with_logits(output[0], scaled(network.batch)) + sum(
                part.mean() for part in output
            )
        else:
            smoothing = network.label_smoothing
            loss = cross_entropy(output, targets(network.batch), label_smoothing=smoothing, reduction="none").mean()
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        schedule.step()
        yield loss
    yield from module.state_dict().values()


def prediction(network: nn.Module) -> Iterator[torch.Tensor]:
    """Yield the outputs of `network` in evaluation mode."""
    network = _initialised(network).eval()
    with torch.no_grad():
        outputs = network(scaled(PREDICTED))
    yield from outputs if isinstance(outputs, tuple) else (outputs,)


def _initialised(module: nn.Module) -> nn.Module:
    """Return a copy of `module` in training mode and channels_last, with new weights."""
    torch.manual_seed(SEED)
    module = copy.deepcopy(module).train().to(memory_format=torch.channels_last)
    for layer in module.modules():
        if callable(reset := getattr(layer, "reset_parameters", None)):
            reset()
    return module


# Used by many kernels, and part of the definition of all.
SHARED = (rng, normal, images, scaled, targets, _initialised)


# Functions of torch


def of_torch(settings: Params) -> Iterator[Kernel]:
    """Yield functions of torch that are used outside of layers, and this project's square root."""
    trained = tuple(network.stages for network in networks(settings))
    stages = tuple(dict.fromkeys(stage for each in trained for stage in each))
    yield Kernel("torch: random numbers", random_numbers, (), ("augment", *stages))
    yield Kernel("torch: losses", losses, (), stages)
    yield Kernel("torch: sqrt", square_roots, (), (*fitting(*using_hog(settings)), *LEARNED), (numerics,))
    yield Kernel("torch: exp, sin, cos in float64, rounded", float64_functions, (), LEARNED)
    yield Kernel("torch: sin, cos, pow in float32", float32_functions, (), ("augment", *stages))
    yield Kernel("torch: norm, mean, std, quantile", reductions, (), (*fitting(*using_hog(settings)), *LEARNED))
    yield Kernel("torch: matrix products", products, (), stages)


def random_numbers() -> Iterator[torch.Tensor]:
    """Yield random numbers of torch's generator, in short and long tensors."""
    for count in (7, 100_000):
        yield from (torch.rand(count), torch.randn(count), torch.randperm(count), torch.randint(1000, (count,)))
        yield nn.Dropout(0.1)(torch.ones(count))


def losses() -> Iterator[torch.Tensor]:
    """Yield losses and probabilities with their gradients."""
    logits = (3 * normal("logits", 256, 10)).requires_grad_()
    digits = targets(256)
    for loss in (
        cross_entropy(logits, digits),
        cross_entropy(logits, digits, label_smoothing=0.05),
        binary_cross_entropy_with_logits(logits, softmax(logits.detach(), 1)),
        (softmax(logits, 1) * log_softmax(logits, 1)).sum(),
        torch.logsumexp(logits[:, :9], 1).mean() + torch.sigmoid(logits).mean(),
    ):
        yield from (loss, *torch.autograd.grad(loss, logits))


def square_roots() -> Iterator[torch.Tensor]:
    """Yield this project's square roots of numbers of all magnitudes."""
    yield numerics.sqrt(torch.from_numpy(rng("sqrt").integers(0, 0x7F800000, 100_000, np.int32).view(np.float32)))


def float64_functions() -> Iterator[torch.Tensor]:
    """Yield functions of random corruptions, computed in float64 and rounded."""
    values = (4 * normal("functions", 100_000)).double()
    yield from (function(values).float() for function in (torch.exp, torch.sin, torch.cos))


def float32_functions() -> Iterator[torch.Tensor]:
    """Yield functions of augmentation and of oriented gradients."""
    angles = normal("functions", 100_000)
    yield from (angles.cos(), angles.sin(), angles.abs() ** angles.clamp(0.5, 2))


def reductions() -> Iterator[torch.Tensor]:
    """Yield statistics over each dimension."""
    values = normal("reductions", IMAGES, FEATURES)
    for dim in (0, 1):
        yield from (values.norm(dim=dim), values.mean(dim), values.std(dim), values.quantile(0.9, dim))


def products() -> Iterator[torch.Tensor]:
    """Yield matrix products as in interpolation, blur and moments."""
    weights, pictures = normal("weights", IMAGES, 1, SIZE, SIZE), scaled(IMAGES)
    yield from (weights @ pictures @ weights.transpose(2, 3), pictures.sum((1, 3)) @ normal("powers", SIZE, 3))


# Training data


def of_training_data(settings: Params) -> Iterator[Kernel]:
    """Yield the functions that make training and corrupted images."""
    users: dict[str, tuple[str, ...]] = {
        STORED_POLICY: ("augment",),
        settings.ood.detector.augmentation: ("train_ood",),
    }
    for config in configs(settings):
        if config.batch_augmentation:
            users[config.augmentation] = (*users.get(config.augmentation, ()), *fitting(config.name))
    for name, stages in users.items():
        policy = settings.policy(name, "augmentation")
        values = " ".join(f"{key}={value}" for key, value in policy if key != "horizontal_flip")  # which copies pixels
        yield Kernel(f"warp: {values}", warped, (policy,), stages, (augmentation.warp,))
        yield Kernel("stroke styles", restyled, (), stages, (augmentation.perturb_strokes,))
        if policy.stroke_digits:
            yield Kernel("stroke digits", stroke_models, (), stages, (stroke_digits, strokes, normalise))
    code = (random_corruptions, numerics)
    for family in dict.fromkeys(random_corruptions.FAMILIES):
        yield Kernel(f"random corruption {_named(family)}", on_batch, (family,), LEARNED, code)
    for function in (random_corruptions.corrupt_batch, random_corruptions.move_batch, random_corruptions.change_width):
        yield Kernel(f"random corruption {_named(function)}", on_batch, (function,), LEARNED, code)
    yield Kernel("digits drawn anew", redrawn, (), ("train_ood",), (redraw, strokes, normalise))
    names = sorted(module.name for module in pkgutil.iter_modules(outliers.__path__))
    modules = tuple(importlib.import_module(f"{outliers.__name__}.{name}") for name in names)
    for kind in outliers.KINDS:
        name, of_kind = f"outliers: {kind}", (outliers, strokes, normalise, *modules)
        yield Kernel(name, outliers_of_kind, (kind,), ("generate_outliers",), of_kind)
    yield Kernel("distances of outliers from digits", compared, (), ("generate_outliers",), (lookalikes, hog, numerics))
    for corruption in corruptions.TABLE:
        yield Kernel(f"corruption {corruption.name}", corrupted, (corruption,), ("corrupt",), (corruptions,))
    yield Kernel(
        "resizing, centring, scaling", resized, (), ("preprocess", "corrupt"), (resizing, canonicalize, numerics)
    )


def _named(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", repr(function)).strip("_")


def warped(policy: Any) -> Iterator[torch.Tensor]:
    """Yield warped images."""
    yield augmentation.warp(scaled(256), policy)


def restyled() -> Iterator[torch.Tensor]:
    """Yield images with other strokes."""
    yield augmentation.perturb_strokes(scaled(256))


def stroke_models() -> Iterator[np.ndarray]:
    """Yield digits drawn from stroke models."""
    yield stroke_digits.generate(4 * DRAWN, SEED).images


def on_batch(function: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[torch.Tensor]:
    """Yield what `function` makes of batches: large ones, twice, since some functions draw their size for the whole
    batch, and small ones, since most get a part of a batch.
    """
    yield from (function(scaled(count)) for count in (128, 128, 1, 2, 3, 4, 5, 8, 9))


def redrawn() -> Iterator[np.ndarray]:
    """Yield digits drawn anew."""
    yield redraw.redraw(images(2 * DRAWN), 1.0, SEED).images


def outliers_of_kind(kind: str) -> Iterator[np.ndarray]:
    """Yield outliers of a kind."""
    drawn = images(2 * DRAWN)
    yield outliers.generate(DRAWN, drawn.images, drawn.labels, SEED, [kind])


def compared() -> Iterator[np.ndarray]:
    """Yield the limit of look-alikes, and distances from digits."""
    digits, drawn = images(IMAGES).images[IMAGES // 2 :], images(IMAGES // 2).images
    resemble = lookalikes.Lookalikes(digits, drawn)
    yield from (np.array(resemble.limit), resemble.distances(drawn[::-1] // 2))


def corrupted(corruption: corruptions.Corruption) -> Iterator[np.ndarray]:
    """Yield corrupted images at all severities."""
    yield from (
        corruptions.corrupt(corruption, images(DRAWN).images, severity, SEED) for severity in corruptions.SEVERITIES
    )


def resized() -> Iterator[np.ndarray]:
    """Yield 8x8 images as the stage `preprocess` resizes them."""
    yield canonicalize.centre_and_scale(resizing.resize(images(DRAWN).images[:, ::4, ::4][:, :8, :8].copy()))


# scikit-learn and SciPy


def of_estimators(settings: Params) -> Iterator[Kernel]:
    """Yield the models of scikit-learn, small, and what calibrates scores."""
    for config in configs(settings):
        if not isinstance(pipeline := config.build(DIGIT, 10), Pipeline):
            continue
        how = {key: value for key, value in config.hyperparameters.items() if key != "max_images"}
        features = how["features"]
        stages = fitting(config.name)
        yield Kernel(f"features: {features}", extracted, (features,), stages, (hog, numerics, estimators.extract))
        pipeline[-1].set_params(random_state=SEED)
        for key, value in {"n_estimators": TREES, "max_iter": ITERATIONS}.items():
            if key in pipeline[-1].get_params() and config.kind != "svm":
                pipeline[-1].set_params(**{key: value})
        code = (hog, numerics, estimators.extract, estimators.scores, coupling)
        yield Kernel(f"{config.name}: {how} on {IMAGES} images", estimated, (pipeline, features), stages, code)
    every = fitting(*settings.models)
    one_vs_one = [config.name for config in configs(settings) if config.kind == "svm"]
    yield Kernel("calibration", calibrated, (), every, (calibration,))
    yield Kernel("coupling", coupled, (), fitting(*one_vs_one), (coupling, calibration.smoothed_log_loss))
    yield Kernel("PCA and t-SNE", embedded, (), ("explore",))
    yield Kernel("area under the ROC curve", areas, (), ("train_ood",))


def extracted(features: str) -> Iterator[np.ndarray]:
    """Yield the features of images."""
    yield estimators.extract(images(IMAGES), features)


def estimated(pipeline: Pipeline, features: str) -> Iterator[np.ndarray]:
    """Yield the scores of a fitted `pipeline`, and the attributes of its steps."""
    np.random.seed(SEED)  # noqa: NPY002 - scikit-learn's
    some = images(IMAGES)
    rows = estimators.extract(some, features)
    pipeline.fit(rows, some.labels.astype(np.int64))
    is_one_vs_one = getattr(pipeline[-1], "decision_function_shape", None) == "ovo"
    yield estimators.scores(pipeline, rows, (2.0, 1.5) if is_one_vs_one else None)
    for step in pipeline:
        names = ("components_", "mean_", "coef_", "intercept_", "support_", "dual_coef_")
        yield from (getattr(step, name) for name in names if name in vars(step))
        for tree in getattr(step, "estimators_", ()):
            yield from (tree.tree_.feature, tree.tree_.threshold, tree.tree_.value)


def calibrated() -> Iterator[float]:
    """Yield temperature and losses of random scores."""
    scores = 3 * rng("scores").standard_normal((IMAGES, 10)) + 4 * np.eye(10)[images(IMAGES).labels]
    yield from calibration.calibrate(scores, images(IMAGES).labels).to_dict().values()


def coupled() -> Iterator[Result]:
    """Yield slope, temperature and scores of random decisions."""
    first, second = np.triu_indices(10, 1)
    labels = images(IMAGES).labels[:, None]
    decisions = rng("decisions").standard_normal((IMAGES, 45)) + (labels == first) - (labels == second)
    slope, temperature = coupling.fit_coupling(decisions, labels[:, 0])
    yield from (slope, temperature, coupling.couple(decisions, slope, temperature))


def embedded() -> Iterator[np.ndarray]:
    """Yield principal components and a t-SNE of images."""
    flat = images(200).images.reshape(200, -1) / np.float64(255)
    components = PCA(30, svd_solver="full").fit_transform(flat)
    yield from (components, TSNE(perplexity=30, random_state=SEED, init="pca", max_iter=250).fit_transform(components))


def areas() -> Iterator[float]:
    """Yield an area under the ROC curve."""
    yield float(roc_auc_score(np.arange(IMAGES) % 2, rng("areas").random(IMAGES) + np.arange(IMAGES) % 2))


# NumPy, SciPy's filters, OpenCV, matplotlib


def of_numpy(settings: Params) -> Iterator[Kernel]:
    """Yield functions of NumPy and SciPy."""
    drawing = ("generate_outliers", "corrupt", "augment", "train_ood", *fitting(*with_strokes(settings)))
    yield Kernel("NumPy: random numbers", numpy_random, (), drawing)
    yield Kernel("NumPy: functions in float64", numpy_functions, (), drawing)
    yield Kernel("NumPy: Fourier transforms", numpy_fourier, (), ("generate_outliers", "corrupt"))
    yield Kernel("NumPy: matrix products", numpy_products, (), ("corrupt", *fitting(*settings.models)))
    yield Kernel("NumPy: statistics", numpy_statistics, (), ("preprocess", "generate_outliers", "corrupt", "explore"))
    yield Kernel("SciPy: filters", filters, (), ("corrupt",))
    yield Kernel("measurements", measured, (), ("preprocess",), (measurements,))
    yield Kernel("pixel mean and std", pixel_statistics, (), ("preprocess",), (arrays.LabelledImages,))


def numpy_random() -> Iterator[np.ndarray]:
    """Yield random numbers of NumPy's generator."""
    random = rng("numpy")
    yield from (random.random(10_000), random.standard_normal(10_000), random.poisson(3.7, 10_000))
    yield from (random.integers(1000, size=10_000), random.permutation(10_000), random.uniform(-1, 2, 10_000))
    yield random.binomial(1, 0.3, 10_000)


def numpy_functions() -> Iterator[np.ndarray]:
    """Yield elementary functions."""
    values = 5 * rng("functions").standard_normal(100_000)
    positive = np.abs(values) + 1e-3
    yield from (np.sin(values), np.cos(values), np.exp(values), np.log(positive), np.sqrt(positive))
    yield from (
        np.hypot(values, values[::-1]),
        positive**0.7,
        np.logaddexp(0, values),
        np.interp(values, [-9, 9], [0, 1]),
    )


def numpy_fourier() -> Iterator[np.ndarray]:
    """Yield Fourier transforms of 32x32 values."""
    white = np.fft.rfft2(rng("fourier").standard_normal((IMAGES, 32, 32)))
    yield from (white, np.fft.irfft2(white, (32, 32)), np.abs(np.fft.fft2(white[:DRAWN])))


def numpy_products() -> Iterator[np.ndarray]:
    """Yield matrix products and a decomposition, in float32 and float64."""
    values: np.ndarray = rng("products").standard_normal((IMAGES, FEATURES))
    for each in (values, values.astype(np.float32)):
        yield from (each.T @ each, each @ each[0], np.linalg.eigh(each[:100, :100] @ each[:100, :100].T)[0])


def numpy_statistics() -> Iterator[Result]:
    """Yield statistics."""
    values = rng("statistics").standard_normal((IMAGES, SIZE * SIZE))
    yield from (values.mean(), values.std(axis=0), values.sum(axis=1), np.quantile(values, 0.3, axis=0))
    yield from (np.cumsum(values, axis=1), np.sort(values, axis=1), values.astype(np.float32).mean(axis=1))


def filters() -> Iterator[np.ndarray]:
    """Yield filtered images."""
    some = images(DRAWN).images / 255
    yield ndimage.gaussian_filter(some, (0, 1.3, 1.3), mode="nearest")
    yield ndimage.affine_transform(some[0], np.array([[0.9, 0.3], [-0.3, 0.9]]), (1.5, 2.5), order=1)
    yield ndimage.map_coordinates(some[0], np.indices((SIZE, SIZE)) * 0.83 + 1.1, order=1)
    yield from (ndimage.distance_transform_edt(some[0] > 0.4), ndimage.maximum_filter(some, (0, 13, 13)))


def measured() -> Iterator[np.ndarray]:
    """Yield stroke widths, slants and sizes."""
    some = images(IMAGES).images
    yield from (measurements.stroke_width(some), measurements.slant(some), measurements.size(some))


def pixel_statistics() -> Iterator[float]:
    """Yield mean and standard deviation of pixels."""
    yield from images(IMAGES).mean_and_std()


def of_opencv(settings: Params) -> Iterator[Kernel]:
    """Yield functions of OpenCV."""
    stages = ("generate_outliers", "augment", "train_ood", *fitting(*with_strokes(settings)))
    yield Kernel("OpenCV: resizing", opencv_resizing, (), stages)
    yield Kernel("OpenCV: drawing", opencv_drawing, (), stages)
    yield Kernel("OpenCV: morphology", opencv_morphology, (), stages)
    yield Kernel("OpenCV: edges", opencv_edges, (), ("corrupt",))


def opencv_resizing() -> Iterator[np.ndarray]:
    """Yield resized uint8 and float32 images."""
    for image in (images(1).images[0], images(1).images[0].astype(np.float32) / 255):
        for size, how in (((84, 84), cv2.INTER_LINEAR), ((19, 20), cv2.INTER_AREA), ((33, 41), cv2.INTER_CUBIC)):
            yield cv2.resize(image, size, interpolation=how)


def opencv_drawing() -> Iterator[np.ndarray]:
    """Yield lines and polygons drawn with fixed-point coordinates."""
    for number in range(DRAWN):
        points = rng(f"drawing {number}").integers(0, 84 * 16, (6, 2)).astype(np.int32)
        for function in (cv2.polylines, cv2.fillPoly):
            canvas = np.zeros((84, 84), np.uint8)
            if function is cv2.polylines:
                cv2.polylines(canvas, [points], False, 255, 1 + number % 7, cv2.LINE_AA, 4)
            else:
                cv2.fillPoly(canvas, [points], 255, cv2.LINE_AA, 4)
            yield canvas


def opencv_morphology() -> Iterator[np.ndarray]:
    """Yield eroded and dilated images, distances to the background, and components."""
    image = images(1).images[0]
    for size in (2, 3, 5):
        pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        yield from (cv2.erode(image, pen), cv2.dilate(image, pen), cv2.morphologyEx(image, cv2.MORPH_OPEN, pen))
    mask = (image > 100).astype(np.uint8)
    yield np.rint(cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64) ** 2)
    yield cv2.connectedComponentsWithStats(mask, connectivity=8)[2]


def opencv_edges() -> Iterator[np.ndarray]:
    """Yield edges and a blurred image."""
    image = images(1).images[0]
    yield from (cv2.Canny(image, 25.5, 51, L2gradient=True), cv2.GaussianBlur(image, (3, 3), 0))


def of_plots(settings: Params) -> Iterator[Kernel]:
    """Yield pictures."""
    stages = tuple(f"evaluate@{model}" for model in settings.models)
    yield Kernel("matplotlib: pictures", pictures, (), ("explore", "generate_outliers", *stages), (plots,))


def pictures() -> Iterator[bytes]:
    """Yield a gallery and a plot as PNG."""
    some = images(DRAWN)
    yield plots.to_png(plots.gallery(some.images, [str(label) for label in some.labels], "Images"))
    yield plots.to_png(plots.intensity(some.images))


# ONNX Runtime


def of_onnxruntime(settings: Params) -> Iterator[Kernel]:
    """Yield sessions of ONNX Runtime, which selects its instructions itself."""
    models: dict[str, nn.Module] = {
        config.name: ensemble.with_probabilities(ensemble.Ensemble(separate(module), config.hyperparameters["tta"]))
        for config in configs(settings)
        if config.kind == "cnn" and isinstance(module := config.build(DIGIT, 10), nn.Module)
    }
    models["canonicalizer"] = canonicalize.Canonicalizer(denoiser.Denoiser(settings.canonicalizer.width), 0.0)
    for name, module in models.items():
        used = [name] if name in settings.models else list(settings.models)
        stages = tuple(f"{stage}@{model}" for model in used for stage in ("package", "evaluate"))
        title = f"ONNX Runtime: {name} {_sizes(module)}"
        yield Kernel(title, session, (module,), stages, (canonicalize, denoiser.Denoiser, ensemble), restricted=False)


def session(module: nn.Module) -> Iterator[np.ndarray]:
    """Yield the outputs of `module`, exported to ONNX."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    model = to_onnx(_initialised(module), "output").SerializeToString()
    found = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    yield from found.run(None, {INPUT: scaled(PREDICTED).numpy()})
