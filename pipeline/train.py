"""Stage `train`: let one model of params.yaml learn, and write it to models/<model>: `python -m pipeline.train cnn`.

model.onnx is what has learned, with models/gate/front.onnx before it and models/gate/gate.onnx beside it.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import onnx

from pipeline import artifact, classifiers, params
from pipeline.datasets import arrays
from pipeline.errors import InputError
from pipeline.training import Run, checkpoints, front, gate

GATE = Path("models/gate")
EXAMPLES = {"prepared": arrays.TRAIN, "augmented": arrays.AUGMENTED}


def load(path: Path, sha256: str | None) -> onnx.ModelProto:
    """Return the ONNX file `path`.

    Raises:
        InputError: it has another checksum than `sha256`.
    """
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise InputError(
            f"{path}: expected SHA-256 {sha256}, found {found}. "
            f"Delete {path.parent} and run `dvc repro`; if it comes back, `make doctor`."
        )
    return onnx.load_model_from_string(content)


def main() -> None:
    """Train the model named on the command line."""
    if len(sys.argv) != 2:
        raise InputError("expected the name of one model, as in `python -m pipeline.train cnn`.")
    name, settings = sys.argv[1], params.load()
    plan = classifiers.plan(name, settings.models)
    train, validation = arrays.load(EXAMPLES[plan.examples]), arrays.load(arrays.VALIDATION)
    facts = json.loads(arrays.FACTS.read_text())
    decisive = (settings.seed, settings.augmentation, settings.runtime, plan, facts, artifact.versions())
    run = Run(
        name=name,
        train=train,
        validation=validation,
        mean=facts["train_pixel_mean"],
        std=facts["train_pixel_std"],
        settings=settings,
        curves=Path("plots/training") / name,
        checkpoints=checkpoints.folder(
            name, *decisive, train.images, train.labels, validation.images, validation.labels
        ),
    )
    gate_facts = json.loads((GATE / "gate.json").read_text())
    parts = {part: load(GATE / f"{part}.onnx", gate_facts.get(f"{part}_sha256")) for part in ("front", "gate")}
    runtime.seed(settings.seed)
    fitted = plan.train(run)
    about: dict[str, Any] = {
        "name": name,
        "kind": plan.kind,
        "hyperparameters": plan.hyperparameters,
        "data": {
            "title": facts["title"],
            "examples": plan.examples,
            "train": len(train),
            "validation": len(validation),
        },
        "seed": settings.seed,
        "runtime": settings.runtime.model_dump(),
    }
    if others := runtime.unlocked():
        about["not_as_locked"] = others
    model = gate.beside(front.before(fitted.export(), parts["front"]), parts["gate"])
    about |= {"training": fitted.facts, "gate": gate_facts}
    artifact.save(Path("models") / name, model, about)
    print(f"models/{name}: learned from {len(train):,} images")


if __name__ == "__main__":
    runtime.run(main)
