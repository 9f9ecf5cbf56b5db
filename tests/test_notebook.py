import base64
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
ABSOLUTE = re.compile(r"""(?:^|[\s"'(=])(?:/\w|~/|[A-Za-z]:[\\/])""", re.MULTILINE)


class Expected(NamedTuple):
    """What a notebook shows: the number of pictures, a sentence, and a test accuracy, which a pattern finds."""

    pictures: int
    sentence: str
    accuracy: str
    floor: float


NOTEBOOKS = {
    "explore": Expected(9, "1,197 images for training, 240 for validation", r"\| svm \| .+?% \| ([\d.]+)%", 90),
    "compare": Expected(
        4, "1,150 images for training, 287 for validation, 360 for testing", r"5 seeds: test accuracy ([\d.]+)%", 92
    ),
    "own_data": Expected(
        4, "288 images for training, 72 for validation, 90 for testing", r": test accuracy ([\d.]+)%", 95
    ),
}


def test_every_notebook_is_tested() -> None:
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(NOTEBOOKS)


@pytest.mark.parametrize("source", ["'/data/own'", "Path('~/own')", "cd /srv/own", r'"C:\own"'])
def test_absolute_paths_are_found(source: str) -> None:
    assert ABSOLUTE.search(source)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Jupyter's own
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_committed_without_outputs_and_runs(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    notebook = nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells), "clear all outputs"
    assert not [cell.source for cell in notebook.cells if ABSOLUTE.search(cell.source)]

    folder = request.getfixturevalue("project") if name == "explore" else tmp_path
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    expected, outputs = NOTEBOOKS[name], [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == expected.pictures
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
    assert expected.sentence in str(outputs)
    assert float(re.search(expected.accuracy, str(outputs))[1]) > expected.floor
