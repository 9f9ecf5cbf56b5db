"""Stages one after the other in this process, which loads its libraries once: `python -m tests.in_one_process
preprocess "train svm"`. What they leave is what `dvc repro` would; test_pipeline.py compares some of it, byte for byte.
"""

import runpy
import sys

for stage in sys.argv[1:]:
    sys.argv = stage.split()
    try:
        runpy.run_module(f"pipeline.{sys.argv[0]}", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
