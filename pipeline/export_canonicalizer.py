"""Stage `export_canonicalizer`: write the canonicalizer, the first part of every model, to models/canonicalizer."""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.export_canonicalizer")

from pathlib import Path

from pipeline import json_file
from pipeline.onnx_graph.export import to_onnx
from pipeline.onnx_graph.write import write_onnx
from pipeline.robustness.canonicalize import Canonicalizer

FOLDER = Path("models/canonicalizer")


def main() -> None:
    """Write models/canonicalizer."""
    written = write_onnx(FOLDER / "canonicalizer.onnx", to_onnx(Canonicalizer(), "canonical"))
    json_file.write(FOLDER / "canonicalizer.json", written)
    print(f"{FOLDER}: {written['bytes']:,} bytes")
