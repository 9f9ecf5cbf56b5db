"""Tests run with the instruction sets of a stage, and with one thread in each of pytest's processes.

Both must be set before NumPy is imported.
"""

from pathlib import Path

from pipeline import params, runtime

settings = params.load(Path(__file__).parents[1] / "params.yaml").runtime
runtime.pin(settings.model_copy(update={"threads": 1}))
