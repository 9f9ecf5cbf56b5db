import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from digits.errors import InputError
from pipeline import errors, params, runtime


def test_pins_are_set_before_libraries_load() -> None:
    code = (
        "from pipeline import runtime; import sys; assert 'numpy' not in sys.modules and 'torch' not in sys.modules;"
        "import os, torch;"
        "print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), os.environ['OMP_NUM_THREADS'])"
    )
    caller = os.environ | {"OMP_NUM_THREADS": "7", "ATEN_CPU_CAPABILITY": "default"}
    done = subprocess.run([sys.executable, "-c", code], env=caller, stdout=subprocess.PIPE, text=True, check=True)
    threads = params.load().runtime.threads
    assert done.stdout.split() == ["AVX2", str(threads), str(threads)]


def test_free_only_when_asked() -> None:
    found = params.load().runtime
    assert runtime.PINS.items() <= runtime.settings(found).items()
    free = found.model_copy(update={"reproducible": False})
    assert not runtime.PINS.keys() & runtime.settings(free).keys()


def test_other_versions_than_locked_are_named(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("numpy==1.0.0 \\\n    --hash=sha256:00\nnot-installed-here==1 \\\n")
    found = runtime.unlocked(tmp_path / "lock")
    assert list(found) == ["numpy"]
    assert found["numpy"].endswith(", locked 1.0.0")
    assert runtime.unlocked(tmp_path / "none") == {}


def test_this_environment_is_as_locked() -> None:
    assert runtime.unlocked() == {}


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    runtime.check_writable(("models", "metrics"))
    monkeypatch.setattr(os, "access", lambda path, _: path != "models")
    with pytest.raises(InputError, match="models: expected a folder that can be written to, found a read-only one"):
        runtime.check_writable(("models", "metrics"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "error: the disk is full"),
        (OSError("1000 requested and 12 written"), "error: the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "error: not allowed to write or read"),
        (OSError(errno.EROFS, "Read-only file system"), "error: not allowed to write or read"),
        (InputError("wrong"), "error: wrong"),
    ],
)
def test_what_the_user_can_mend_ends_with_a_message(error: Exception, message: str) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        errors.run(main)
    assert str(caught.value).startswith(message)


def test_our_own_mistakes_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        errors.run(lambda: 1 // 0)
