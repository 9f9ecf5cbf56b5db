import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from digits.errors import InputError
from pipeline.commands import publish
from pipeline.commands.verify import outputs
from tests.conftest import IDENTITY, call, set_params


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Yield a folder and the address at which a plain web server serves it."""
    folder = tmp_path / "public"

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(folder: Path, *arguments: str, fails: bool = False) -> str:
    """Run the command in the project in `folder`."""
    return call(folder, sys.executable, "-m", "pipeline.commands.publish", *arguments, fails=fails)


@pytest.mark.slow
def test_a_stranger_pulls_everything_and_has_nothing_to_do(
    own_project: Path, served: tuple[Path, str], tmp_path: Path
) -> None:
    public, address = served
    printed = run(own_project, str(public))
    assert "outputs" in printed
    assert " 0 new files" in run(own_project, str(public))
    call(own_project, "dvc", "remote", "add", "--default", "public", address)
    call(own_project, "git", *IDENTITY, "commit", "-aqm", "The address of the outputs")

    call(tmp_path, "git", "clone", "-q", str(own_project), "clone")
    clone = tmp_path / "clone"
    call(clone, "dvc", "pull")
    assert "Running stage" not in call(clone, "dvc", "repro")
    assert not call(clone, "git", "status", "--porcelain")
    assert (clone / "models/svm/model.onnx").read_bytes() == (own_project / "models/svm/model.onnx").read_bytes()

    set_params(own_project, {"ood.max_false_rejection_rate": "0.05"})
    call(own_project, "dvc", "repro", "package@svm")
    call(own_project, "git", *IDENTITY, "commit", "-aqm", "Another threshold")
    run(own_project, str(public))
    thresholds = []
    for revision in ("HEAD", "HEAD~1"):
        call(tmp_path, "dvc", "get", "--rev", revision, "-o", revision, str(own_project), "models/svm")
        thresholds.append(json.loads((tmp_path / revision / "model.json").read_text())["acceptance"]["min_digitness"])
    assert thresholds[0] != thresholds[1]
    assert thresholds[1] == json.loads((clone / "models/svm/model.json").read_text())["acceptance"]["min_digitness"]


def test_missing_outputs_are_named(own_project: Path, tmp_path: Path) -> None:
    md5 = outputs(own_project / "dvc.lock")["models/svm"]
    next(publish.files(own_project / ".dvc/cache", md5)).unlink()
    message = run(own_project, str(tmp_path / "public"), fails=True)
    assert "DVC's cache lacks models/svm. Run `dvc repro` first" in message
    assert "Traceback" not in message


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "public").write_text("")
    with pytest.raises(InputError, match=r"public: expected a folder, or the name of a new one, found: File exists"):
        publish.publish(tmp_path / "public")


def test_a_read_only_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish.os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"public: expected a writable folder, found a read-only one"):
        publish.publish(tmp_path / "public")
