from pathlib import Path

import pytest

from pipeline import runtime


@pytest.fixture(autouse=True)
def _outside_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # DVCLive would open this project's git repository


@pytest.fixture(autouse=True)
def _seeded() -> None:
    runtime.seed(0)  # scikit-learn's forests use NumPy's global generator
