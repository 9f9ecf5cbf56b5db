"""What makes a run repeatable and safe: threads, instruction sets, seeds, and how a stage starts and ends.

Every stage that computes imports this module first. NumPy, scikit-learn and torch choose their code paths by CPU and
read these variables once, while they load; so they are set here, on import, before anything else loads. Results then
depend neither on the CPU's newest instructions nor on the caller's environment. ``runtime.reproducible: false`` in
params.yaml frees the CPU; bytes then differ between CPUs.
"""

import contextlib
import os
import random
import re
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from pipeline import errors, params
from pipeline.errors import InputError

# One code path for all x86-64 CPUs since 2013 (AVX2), whatever this one could do beyond it.
PINS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # torch's convolutions
    "MKL_CBWR": "COMPATIBLE",  # torch's matrix products
    "OPENBLAS_CORETYPE": "Haswell",  # matrix products of NumPy and SciPy
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # NumPy's own loops
}
OUTPUTS = ("data", "models", "metrics", "plots", "reports")
LOCK = Path("requirements.lock")
BACK = "`dvc checkout; git checkout metrics models/best reports` brings them back."

# What the caller's environment says to these libraries must not decide results.
CALLERS = ("ATEN_", "DNNL_", "GOMP_", "GOTO_", "KMP_", "MKL_", "NPY_", "OMP_", "ONEDNN_", "OPENBLAS_")


def _dvc() -> psutil.Process | None:
    """Return the `dvc` that started this stage, if one did."""
    process = psutil.Process()
    with contextlib.suppress(psutil.Error):  # not ours to look at, or gone
        while process := process.parent():
            if any(Path(word).name == "dvc" for word in process.cmdline()[:3]):
                return process
    return None


DVC = _dvc()  # asked at once, since a process whose parent dies gets another


def settings(runtime: params.Runtime) -> dict[str, str]:
    """Return the environment variables that `runtime` stands for."""
    threads = {
        "OMP_NUM_THREADS": str(runtime.threads),
        "MKL_NUM_THREADS": str(runtime.threads),
        "MKL_DYNAMIC": "FALSE",
        "OPENBLAS_NUM_THREADS": "1",  # it would use fewer than it is told to where there are fewer cores
        # Idle threads spin for a moment and then sleep. To sleep at once doubles the time of a small network; to go on
        # spinning costs many times the work on a busy machine.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "10000",
    }
    return threads | (PINS if runtime.reproducible else {})


def seed(value: int) -> None:
    """Seed every global random generator that is loaded. Stages call it once, before they compute."""
    random.seed(value)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(value)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(value)


def unlocked(lock: Path = LOCK) -> dict[str, str]:
    """Return the packages that are installed at another version than `lock` pins, as "found, locked"."""
    found = {}
    for name, pinned in re.findall(r"^([a-z0-9-]+)==([^ ]+)", lock.read_text(), re.MULTILINE) if lock.exists() else ():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # for another platform, or not needed for this stage
        if installed.split("+")[0] != pinned:
            found[name] = f"{installed}, locked {pinned}"
    return found


def run(main: Callable[[], None]) -> None:
    """Run a stage: refuse before any work what cannot end well, and end with a message if the input is wrong."""

    def stage() -> None:
        check_writable(OUTPUTS)
        threading.Thread(target=_end_with_dvc, daemon=True).start()
        for name, versions in unlocked().items():
            print(f"warning: {name} {versions}. Bytes may differ; `make clean install` mends it.", file=sys.stderr)
        try:
            main()
        except InputError as error:
            if "DVC_STAGE" not in os.environ:
                raise
            raise InputError(f"{error}\nDVC removed this stage's last outputs. {BACK}") from None

    errors.run(stage)


def check_writable(folders: tuple[str, ...]) -> None:
    """Check that those of `folders` that exist, and the current one, can be written to.

    Raises:
        InputError: one cannot.
    """
    for folder in (".", *folders):
        if Path(folder).exists() and not os.access(folder, os.W_OK):
            raise InputError(
                f"{Path(folder).resolve()}: expected a folder that can be written to, found a read-only one."
            )


def _end_with_dvc(interval: float = 1.0) -> None:
    """End this process when the `dvc` above it is gone: killed, it leaves its stage training on beside the next run."""
    if DVC:
        with contextlib.suppress(psutil.Error):
            while DVC.is_running() and DVC.status() != psutil.STATUS_ZOMBIE:
                time.sleep(interval)
        print("error: dvc is gone, and this stage ends with it. Run `dvc repro` again.", file=sys.stderr, flush=True)
        os._exit(1)


try:
    _settings = settings(params.load().runtime)
    for _name in [name for name in os.environ if name.startswith(CALLERS)]:
        del os.environ[_name]
    os.environ.update(_settings)
except InputError as _error:
    sys.exit(f"error: {_error}")
