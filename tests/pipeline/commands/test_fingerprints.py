import os
import subprocess
import sys

import pytest

from pipeline.commands import fingerprints
from pipeline.fingerprints import records
from tests.conftest import ROOT
from tests.pipeline.fingerprints.test_records import record


@pytest.mark.slow
def test_the_kernels_of_this_processor_give_the_recorded_bits() -> None:
    command = [sys.executable, "-m", "pipeline.commands.fingerprints"]
    caller = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | caller, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert "kernels are in no record" not in done.stdout, done.stdout
    assert "compared with 0 records" not in done.stdout


def test_differences_are_reported_and_those_of_onnx_runtime_are_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert fingerprints.report(record(), {"amd": record()}) == 0
    assert "No kernel differs" in capsys.readouterr().out
    assert fingerprints.report(record(), {"amd": record("0" * 16)}) == 1
    assert "sqrt differs from amd. Depending on it: train@cnn.\n1 kernels differ." in capsys.readouterr().out
    free = record()
    free.kernels["sqrt"]["restricted"] = False
    assert fingerprints.report(free, {"amd": record("0" * 16)}) == 0
    assert "As expected, sqrt differs from amd." in capsys.readouterr().out
    assert fingerprints.report(record(), {"old": record(versions={})}) == 0
    printed = capsys.readouterr().out
    assert "not compared: old." in printed
    assert f"1 kernels are in no record. To add them: {'python -m pipeline.commands.fingerprints --record'}" in printed


def test_versions_of_all_libraries_are_recorded() -> None:
    assert set(records.versions()) == set(records.LIBRARIES)
