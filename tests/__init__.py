"""Tests run with the threads and instruction sets of a stage, which must be set before NumPy is imported."""

from pathlib import Path

from pipeline import params, runtime

runtime.pin(params.load(Path(__file__).parents[1] / "params.yaml").runtime)
