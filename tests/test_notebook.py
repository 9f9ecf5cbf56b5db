import base64
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("default")  # Jupyter's own
def test_notebook_is_committed_without_outputs_and_runs(project: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks/explore.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit the notebook without outputs"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(project)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [o["data"]["image/png"] for o in outputs if "data" in o and "image/png" in o["data"]]
    assert len(pictures) == 9
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
    assert "1,197 images for training, 240 for validation" in str(outputs)
