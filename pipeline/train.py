"""Stage `train`: fit one model of params.yaml and write it to models/classifiers/<model>.

python -m pipeline.train cnn
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.train")

from pathlib import Path

import numpy as np

from digits.errors import InputError
from pipeline import json_file, params, runtime
from pipeline.classifiers import model_config
from pipeline.datasets import arrays
from pipeline.onnx_graph.write import versions, write_onnx
from pipeline.training import TrainingContext, checkpoints, stroke_digits

TRAINING_SETS = {"prepared": arrays.TRAIN, "augmented": arrays.AUGMENTED}


def check_predictions(model: str, probabilities: np.ndarray, labels: np.ndarray, classes: int) -> None:
    """Check that `probabilities` (n, classes) predict `labels` (n,) better than the most frequent class does.

    Raises:
        InputError: they do not, or they are of another number of classes.
    """
    if probabilities.shape[1] != classes:
        raise InputError(
            f"{model}: expected outputs for {classes} classes, found {probabilities.shape[1]}. No model was written. "
            "Use the argument `classes` of build for the size of the last layer."
        )
    accuracy, constant = (probabilities.argmax(axis=1) == labels).mean(), np.bincount(labels).max() / len(labels)
    if accuracy <= constant:
        raise InputError(
            f"{model}: expected a validation accuracy above {constant:.2%}, that of always predicting the same class, "
            f"found {accuracy:.2%}. No model was written. Try other hyperparameters in params.yaml: models.{model}."
        )


def main(model: str) -> None:
    """Read data/prepared or data/augmented, write models/classifiers/<model> and learning curves."""
    settings = params.load()
    data = json_file.read(arrays.METADATA)
    config = model_config(model, settings).for_dataset(data)
    train, validation = arrays.load(TRAINING_SETS[config.training_set]), arrays.load(arrays.VALIDATION)
    train = stroke_digits.add(train, config.policy.stroke_digits, settings.seed)
    context = TrainingContext(
        name=model,
        train=train,
        validation=validation,
        classes=len(data["classes"]),
        mean=data["train_pixel_mean"],
        std=data["train_pixel_std"],
        augmentation=config.batch_augmentation,
        seed=settings.seed,
        threads=settings.runtime.threads,
        curves=Path("plots/training") / model,
        checkpoints=checkpoints.folder(
            model, settings.seed, settings.runtime, config, data, versions(), train, validation
        ),
    )
    runtime.seed(settings.seed)
    fitted = config.fit(context)
    check_predictions(model, fitted.predict_proba(validation), validation.labels, len(data["classes"]))
    metadata = {
        "name": model,
        "kind": config.kind,
        "hyperparameters": {"augmentation": config.augmentation, **config.hyperparameters},
        "data": {
            "title": data["title"],
            "classes": data["classes"],
            "shape": data["shape"],
            "digits": data["digits"],
            "training_set": config.training_set,
            "train": len(train),
            "validation": len(validation),
        },
        "seed": settings.seed,
        "runtime": settings.runtime.model_dump(),
        "training": fitted.metadata,
    }
    if others := runtime.unlocked():
        metadata["unlocked_versions"] = others
    folder = Path("models/classifiers") / model
    (folder / "before_refit.onnx").unlink(missing_ok=True)
    if fitted.export_before_refit:
        metadata["before_refit"] = write_onnx(folder / "before_refit.onnx", fitted.export_before_refit())
    written = write_onnx(folder / "classifier.onnx", fitted.export())
    json_file.write(folder / "classifier.json", metadata | written)
    print(f"{folder}: trained on {len(train):,} images")
