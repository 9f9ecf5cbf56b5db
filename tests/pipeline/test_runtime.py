import errno
import json
import os
import platform
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import psutil
import pytest
import torch

from digits import errors
from digits.errors import InputError
from pipeline import runtime
from pipeline.params import Params
from tests.conftest import ROOT

# Imports every module and prints the ones whose import changes the environment; none may read params.yaml or exit.
IMPORT_ALL = """
    import importlib, json, os, pathlib, sys

    changed, names = [], []
    import pipeline.runtime
    assert "numpy" not in sys.modules and "torch" not in sys.modules
    sys.modules["pipeline.params"].load = lambda *_: sys.exit("params.yaml was read")
    root = pathlib.Path(sys.argv[1])
    for file in sorted(file for package in ("pipeline", "digits") for file in (root / package).rglob("*.py")):
        names.append(".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"))
    for name in names:
        before, changes = dict(os.environ), []
        sys.argv[:] = ["python"]
        importlib.import_module(name)
        changed += [[name, key] for key in os.environ.keys() | before.keys() if os.environ.get(key) != before.get(key)]
    print(json.dumps({"names": names, "changed": changed}))
"""


def python(code: str, *arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new process that imports this project."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def stage(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `python -m` with `arguments`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_importing_a_module_changes_nothing(tmp_path: Path) -> None:
    """In a folder without params.yaml: no module sets environment variables, reads params.yaml or exits."""
    done = python(IMPORT_ALL, str(ROOT), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"pipeline.train", "pipeline.commands.tune", "pipeline.classifiers.cnn", "digits.cli"} <= set(found["names"])
    third_party = {  # set by OpenCV, torch, Lightning, scikit-learn and Ray
        "LD_LIBRARY_PATH",
        "TORCHINDUCTOR_CACHE_DIR",
        "PYTORCH_NVML_BASED_CUDA_CHECK",
        "KMP_INIT_AT_FORK",
        "KMP_DUPLICATE_LIB_OK",
        "RAY_CLIENT_MODE",
    }
    assert [pair for pair in found["changed"] if pair[1] not in third_party] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="needs an x86-64 processor")
def test_a_launched_stage_is_pinned_before_numpy_loads(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "probe.py").write_text(
        "import os, sys\n"
        "loaded = [name for name in ('numpy', 'torch', 'sklearn') if name in sys.modules]\n"
        "names = ('OMP_NUM_THREADS', 'MKL_CBWR', 'KMP_BLOCKTIME')\n"
        "print('import', loaded, *(os.environ.get(name) for name in names))\n"
        "import torch\n"
        "def main(word):\n"
        "    print('main', word, torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())\n"
    )
    caller = {"OMP_NUM_THREADS": "7", "ATEN_CPU_CAPABILITY": "default", "KMP_BLOCKTIME": "1"}
    code = "from pipeline.runtime import launch; launch('probe')"
    done = python(code, "hello", cwd=tmp_path, **caller)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["import [] 2 COMPATIBLE None", "main hello AVX2 2"]


def test_pins_are_lifted_on_request_only(settings: Params) -> None:
    assert runtime.PINS.items() <= runtime.environment(settings.runtime).items()
    free = settings.runtime.model_copy(update={"reproducible": False, "threads": 3})
    assert not runtime.PINS.keys() & runtime.environment(free).keys()
    assert runtime.environment(free)["OMP_NUM_THREADS"] == "3"


def test_pinning_drops_variables_of_the_caller(settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"OMP_DYNAMIC": "true", "MKL_CBWR": "AVX512", "HOME": "/root"})
    runtime.pin(settings.runtime)
    assert os.environ == {"HOME": "/root", **runtime.environment(settings.runtime)}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_kept_for_the_next_array(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "probe.py").write_text(
        "import resource\n"
        "def main():\n"
        "    for step in range(10):\n"
        "        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "        bytearray(2**26)\n"
        "        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    done = python("from pipeline.runtime import launch; launch('probe')", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, *later = map(int, done.stdout.split())
    assert first > 1000 > 10 * max(later)


def no_arguments() -> None: ...
def one_argument(model: str) -> None: ...
def any_arguments(*arguments: str) -> None: ...


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (no_arguments, ["cnn"], "expected 0 arguments, found 1. Usage: python -m pipeline.stage"),
        (one_argument, [], "expected 1 argument, found 0. Usage: python -m pipeline.stage <model>"),
        (one_argument, ["cnn", "svm"], "expected 1 argument, found 2. Usage: python -m pipeline.stage <model>"),
    ],
)
def test_a_wrong_number_of_arguments_is_an_error(main: Callable[..., None], arguments: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        runtime.check_arguments(main, "pipeline.stage", arguments)
    assert str(caught.value) == message


def test_matching_arguments_are_accepted() -> None:
    for main, arguments in (
        (no_arguments, []),
        (one_argument, ["cnn"]),
        (any_arguments, []),
        (any_arguments, ["a", "b"]),
    ):
        runtime.check_arguments(main, "pipeline.stage", arguments)


def test_a_stage_without_its_argument_prints_the_usage() -> None:
    done = stage("pipeline.train")
    assert done.returncode == 1
    assert done.stderr == "error: expected 1 argument, found 0. Usage: python -m pipeline.train <model>\n"
    assert done.stdout == ""


def test_quotes_that_a_shell_left_are_removed(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "probe.py").write_text("def main(model):\n    print(model)\n")
    done = python("from pipeline.runtime import launch; launch('probe')", "'cnn'", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "cnn\n")


def test_a_stage_outside_the_repository_says_so(tmp_path: Path) -> None:
    done = stage("pipeline.download", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml not found. Run this from the repository's root")
    assert "Traceback" not in done.stderr


def test_an_error_under_dvc_says_how_to_restore_outputs(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "probe.py").write_text(
        "from digits.errors import InputError\n\ndef main():\n    raise InputError('wrong')\n"
    )
    code = "from pipeline.runtime import launch; launch('probe')"
    assert python(code, cwd=tmp_path).stderr == "error: wrong\n"
    done = python(code, cwd=tmp_path, DVC_STAGE="probe")
    assert done.returncode == 1
    assert done.stderr == f"error: wrong\nDVC removed the previous outputs of this stage. {runtime.RESTORE}\n"


def process(name: str, pid: int = 7) -> SimpleNamespace:
    return SimpleNamespace(name=lambda: name, pid=pid)


@pytest.mark.parametrize("name", ["dvc", "python3.11", "pytest"])
def test_a_stage_finds_the_dvc_that_started_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ancestors = [process("sh"), process(name, 8), process("bash"), process("systemd", 1)]
    monkeypatch.setattr(psutil.Process, "parents", lambda self: ancestors)
    assert runtime._parent_dvc() is ancestors[1]


@pytest.mark.parametrize("adopter", [("tini", 1), ("systemd", 900)])
def test_a_stage_whose_dvc_was_killed_does_not_start(adopter: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "parents", lambda self: [process("sh"), process(*adopter)])
    with pytest.raises(InputError, match=r"dvc has ended, so this stage ends too\. Run `dvc repro` again\."):
        runtime._parent_dvc()


def test_a_stage_without_a_visible_dvc_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "parents", lambda self: [process("sh")])
    assert runtime._parent_dvc() is None
    monkeypatch.setattr(psutil.Process, "parents", Mock(side_effect=psutil.AccessDenied))
    assert runtime._parent_dvc() is None


def test_dvc_may_be_the_first_process_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "parents", lambda self: [process("sh"), process("dvc", 1)])
    assert runtime._parent_dvc() is not None


def test_all_global_generators_are_seeded() -> None:
    def draw() -> tuple[float, float, float]:
        runtime.seed(7)
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    assert draw() == draw()


def test_versions_other_than_locked_are_named(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("numpy==1.0.0 \\\n    --hash=sha256:00\nnot-installed-here==1 \\\n")
    found = runtime.unlocked(tmp_path / "lock")
    assert list(found) == ["numpy"]
    assert found["numpy"].endswith(", locked 1.0.0")
    assert runtime.unlocked(tmp_path / "none") == {}


def test_this_environment_is_as_locked() -> None:
    assert runtime.unlocked(ROOT / runtime.LOCK) == {}


def test_a_read_only_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    runtime.check_writable(("models", "metrics"))
    monkeypatch.setattr(os, "access", lambda path, _: path != "models")
    with pytest.raises(InputError, match="models: expected a writable folder, found a read-only one"):
        runtime.check_writable(("models", "metrics"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "error: the disk is full"),
        (OSError("1000 requested and 12 written"), "error: the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "error: not allowed to read or write"),
        (OSError(errno.EROFS, "Read-only file system"), "error: not allowed to read or write"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "data/x"), "error: data/x: No such file"),
        (json.JSONDecodeError("Expecting value", "", 0), "error: expected JSON, found something else"),
        (InputError("wrong"), "error: wrong"),
    ],
)
def test_errors_that_the_user_can_fix_end_with_a_message(error: Exception, message: str) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        errors.run(main, runtime.ADVICE)
    assert str(caught.value).startswith(message)
    if isinstance(error, FileNotFoundError | json.JSONDecodeError):
        assert str(caught.value).endswith(runtime.ADVICE)


def test_bugs_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        errors.run(lambda: 1 // 0)
