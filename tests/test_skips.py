import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

SKIPPED = """
import pytest

@pytest.mark.skipif(True, reason="needs a browser: apt install chromium")
@pytest.mark.parametrize("number", range(3))
def test_three(number):
    pass

def test_one():
    pytest.skip("needs the right to mount")
"""


def test_the_end_of_a_run_says_what_was_skipped_and_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(SKIPPED)
    options = ["-n0", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "pyproject.toml", f"--rootdir={tmp_path}"]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_some.py")]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    assert printed[-3:-1] == [
        "3 tests skipped: needs a browser: apt install chromium",
        "1 test skipped: needs the right to mount",
    ]
    assert "4 skipped" in printed[-1]
