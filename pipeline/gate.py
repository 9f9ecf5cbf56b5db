"""Stage `gate`: what every model ships with, in models/gate. gate.onnx is a small network that learns what is no digit
at all; front.onnx tidies an image before a model reads it, and has nothing to learn.
"""

import hashlib
import json
from pathlib import Path

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import torch

from pipeline import params
from pipeline.datasets import arrays
from pipeline.imaging import nondigits
from pipeline.training import front, gate

FOLDER = Path("models/gate")


def main() -> None:
    """Read data/prepared, write models/gate."""
    settings = params.load()
    torch.set_num_threads(settings.runtime.threads)
    train, validation = arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION)
    count = settings.gate.nondigits
    others = nondigits.draw(count, train.images, train.labels, settings.seed)
    held_out = nondigits.draw(max(70, count // 10), validation.images, validation.labels, settings.seed + 1)
    runtime.seed(settings.seed)
    learned = gate.fit(train.images, others, (validation.images, held_out), settings.gate)
    FOLDER.mkdir(parents=True, exist_ok=True)
    facts = dict(learned.facts)
    for name, model in (("gate", learned.model), ("front", front.export())):
        content = model.SerializeToString(deterministic=True)
        (FOLDER / f"{name}.onnx").write_bytes(content)
        facts[f"{name}_sha256"] = hashlib.sha256(content).hexdigest()
    (FOLDER / "gate.json").write_text(json.dumps(facts, indent=2) + "\n")
    digits, rest = learned.facts["rejected_digits"], learned.facts["rejected_others"]
    print(f"{FOLDER}: rejects {digits:.2%} of the validation digits and {rest:.2%} of other pictures")


if __name__ == "__main__":
    runtime.run(main)
