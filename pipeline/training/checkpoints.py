"""Checkpoints of unfinished training runs: where they are kept, when they fit, and their file format."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.plugins.io import CheckpointIO
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline.datasets.arrays import LabelledImages

FOLDER = Path(".dvc/tmp/checkpoints")  # not a DVC output: those are emptied before a stage runs
PACKAGES = ("digits", "pipeline")


def folder(name: str, *inputs: Any) -> Path:
    """Return the folder for checkpoints of the model `name`: another one for other code, data, parameters or place.

    Args:
        inputs: everything that determines the result: labelled images, arrays, or values with a repr.
    """
    root = Path(__file__).parents[2]
    fingerprint = hashlib.sha256(str(Path.cwd()).encode())  # Lightning's checkpoints contain absolute paths
    for file in sorted(file for package in PACKAGES for file in (root / package).rglob("*.py")):
        fingerprint.update(file.read_bytes())
    for value in inputs:
        if isinstance(value, LabelledImages):
            for batch in value.batches():
                fingerprint.update(batch.images.tobytes())
            value = value.labels
        fingerprint.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return FOLDER / f"{name}-{fingerprint.hexdigest()[:16]}"


class SafetensorsIO(CheckpointIO):
    """Writes a Lightning checkpoint as one safetensors file, without pickle: tensors as such, everything else as JSON
    in the file's header.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write `checkpoint` completely or not at all."""
        tensors: dict[str, torch.Tensor] = {}
        tree = json.dumps(_flatten(checkpoint, tensors))
        part = Path(path).with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, {"tree": tree})
        part.replace(path)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Return the checkpoint that was saved at `path`."""
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            tree: dict[str, Any] = _restore(json.loads(file.metadata()["tree"]), tensors)
            return tree

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file at `path`."""
        Path(path).unlink(missing_ok=True)


def _flatten(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Move the tensors of `value` to `tensors` and return the rest as JSON: lists whose first item names the type."""
    match value:
        case torch.Tensor():
            name = str(len(tensors))
            tensors[name] = value.detach().contiguous().clone()
            strides = "channels_last" if value.dim() == 4 and not value.is_contiguous() else "contiguous"
            return ["tensor", name, strides]
        case dict():
            return ["dict", [[key, _flatten(inner, tensors)] for key, inner in value.items()]]
        case list():
            return ["list", [_flatten(inner, tensors) for inner in value]]
        case tuple():
            return ["tuple", [_flatten(inner, tensors) for inner in value]]
        case _:
            return ["value", value]


def _restore(tree: list[Any], tensors: dict[str, torch.Tensor]) -> Any:
    match tree:
        case ["tensor", name, "channels_last"]:
            return tensors[name].contiguous(memory_format=torch.channels_last)
        case ["tensor", name, _]:
            return tensors[name]
        case ["dict", items]:
            return {key: _restore(inner, tensors) for key, inner in items}
        case ["list", items]:
            return [_restore(inner, tensors) for inner in items]
        case ["tuple", items]:
            return tuple(_restore(inner, tensors) for inner in items)
        case [_, value]:
            return value
    raise ValueError(f"not a checkpoint: {tree!r}")
