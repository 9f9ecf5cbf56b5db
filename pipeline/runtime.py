"""Reproducible and safe runs: threads, instruction sets, seeds, and the launcher through which stages start.

NumPy, scikit-learn and torch choose their code paths by CPU and read environment variables once, while they are
imported. `launch` therefore sets these variables before it imports a stage. Results then depend neither on the CPU's
newest instructions nor on the caller's environment. ``runtime.reproducible: false`` in params.yaml lifts the
restriction; bytes then differ between CPUs. Importing this module changes nothing.
"""

import contextlib
import ctypes
import importlib
import inspect
import os
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

import psutil

from digits import errors
from digits.errors import InputError
from pipeline import params

# One code path for all x86-64 CPUs since 2013 (AVX2), whatever else the CPU supports.
PINS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # torch's convolutions
    "MKL_CBWR": "COMPATIBLE",  # torch's matrix products
    "OPENBLAS_CORETYPE": "Haswell",  # matrix products of NumPy and SciPy
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # NumPy's own loops
    "OPENCV_IPP": "avx2",  # Intel's library in OpenCV, which resizes images
}
# Variables of these libraries in the caller's environment are dropped.
PREFIXES = (
    *("ATEN_", "DNNL_", "GOMP_", "GOTO_", "KMP_", "MKL_", "NPY_", "OMP_", "ONEDNN_", "OPENBLAS_"),
    *("OPENCV_CPU_DISABLE", "OPENCV_IPP"),
)
# glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD, in bytes: freed memory to keep, and the largest array to keep.
MALLOPT = {-1: 2**30, -3: 2**27}
OUTPUTS = ("data", "models", "metrics", "plots", "reports", "results")
LOCK = Path("requirements.lock")
ADVICE = "`dvc repro` makes missing files; `make doctor` finds damaged ones."
ENDED = "dvc has ended, so this stage ends too. Run `dvc repro` again."
RESTORE = (
    "`dvc checkout` restores those of the last run that ended, `git checkout metrics models/best reports results` the "
    "committed ones in git."
)


def launch(module: str) -> NoReturn:
    """Run the function `main` of the stage or command `module` with the arguments of the command line, and exit.

    The environment is pinned before `module` is imported. Wrong arguments, unreadable parameters and read-only folders
    end the process with a message before any work is done.
    """

    def start() -> None:
        dvc = _parent_dvc() if "DVC_STAGE" in os.environ else None
        settings = params.load().runtime
        pin(settings)
        keep_freed_memory()
        check_writable(OUTPUTS)
        main = importlib.import_module(module).main
        arguments = [argument.strip("'") for argument in sys.argv[1:]]  # Windows leaves dvc.yaml's quotes to programs
        check_arguments(main, module, arguments)
        if dvc:
            threading.Thread(target=_exit_with_dvc, args=(dvc,), daemon=True).start()
        for name, versions in unlocked().items():
            print(f"warning: {name} {versions}. Bytes may differ; `make clean install` fixes it.", file=sys.stderr)
        try:
            main(*arguments)
        except InputError as error:
            if "DVC_STAGE" not in os.environ:
                raise
            raise InputError(f"{error}\nDVC removed the previous outputs of this stage. {RESTORE}") from None

    errors.run(start, ADVICE)


def call(main: Callable[..., int | None], module: str) -> int | None:
    """Call `main` of `module` with the arguments of the command line, and return its exit code.

    Raises:
        InputError: too few or too many arguments.
    """
    check_arguments(main, module, sys.argv[1:])
    return main(*sys.argv[1:])


def pin(runtime: params.Runtime) -> None:
    """Replace the environment variables of numerical libraries by those that `runtime` stands for."""
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        del os.environ[name]
    os.environ.update(environment(runtime))


def environment(runtime: params.Runtime) -> dict[str, str]:
    """Return the environment variables that `runtime` stands for."""
    threads = {
        "OMP_NUM_THREADS": str(runtime.threads),
        "MKL_NUM_THREADS": str(runtime.threads),
        "MKL_DYNAMIC": "FALSE",
        "OPENBLAS_NUM_THREADS": "1",  # more would depend on the number of cores
        # Idle threads spin briefly, then sleep. Sleeping at once doubles the time of a small network; spinning forever
        # slows a busy machine down many times over.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "10000",
    }
    return threads | (PINS if runtime.reproducible else {})


def keep_freed_memory() -> None:
    """Let malloc keep freed memory for later arrays instead of returning it to the operating system at once.

    The training of a network allocates the same arrays in every step, and getting their pages from the system each time
    takes up to a sixth of the time. Without glibc nothing happens.
    """
    with contextlib.suppress(TypeError, AttributeError):  # on Windows; with another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in MALLOPT.items():
            mallopt(parameter, value)


def check_arguments(main: Callable[..., Any], module: str, arguments: Sequence[str]) -> None:
    """Check that `arguments` are as many as `main` takes.

    Raises:
        InputError: too few or too many.
    """
    names = list(inspect.signature(main).parameters)
    try:
        inspect.signature(main).bind(*arguments)
    except TypeError:
        usage = " ".join(["python -m", module, *(f"<{name}>" for name in names)])
        raise InputError(
            f"expected {len(names)} argument{'s' * (len(names) != 1)}, found {len(arguments)}. Usage: {usage}"
        ) from None


def seed(value: int) -> None:
    """Seed the global random generators of Python, NumPy and torch, as far as they are imported."""
    random.seed(value)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(value)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(value)


def unlocked(lock: Path = LOCK) -> dict[str, str]:
    """Return the packages whose installed version is not the one in `lock`, as "found, locked"."""
    found = {}
    for name, pinned in re.findall(r"^([a-z0-9-]+)==([^ ]+)", lock.read_text(), re.MULTILINE) if lock.exists() else ():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # for another platform, or not needed by this stage
        if installed.split("+")[0] != pinned:
            found[name] = f"{installed}, locked {pinned}"
    return found


def check_writable(folders: tuple[str, ...]) -> None:
    """Check that the current folder and those of `folders` that exist are writable.

    Raises:
        InputError: one is not.
    """
    for folder in (".", *folders):
        if Path(folder).exists() and not os.access(folder, os.W_OK):
            raise InputError(f"{Path(folder).resolve()}: expected a writable folder, found a read-only one.")


def _parent_dvc() -> psutil.Process | None:
    """Return the process of DVC that started this stage, if it can be found: the first ancestor that is not a shell.

    Raises:
        InputError: it has ended, so that the shell is now a child of the system's first process.
    """
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().parents():
            name = process.name()
            if name.removesuffix(".exe").endswith(("sh", "cmd")):
                continue
            if name in ("init", "systemd") or (process.pid == 1 and not name.startswith(("dvc", "python"))):
                raise InputError(ENDED)
            return process
    return None


def _exit_with_dvc(dvc: psutil.Process, interval: float = 1.0) -> None:
    """Exit when `dvc` has ended: a killed DVC leaves its stage running, beside the one that the next run starts."""
    with contextlib.suppress(psutil.Error):
        while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
            time.sleep(interval)
    print(f"error: {ENDED}", file=sys.stderr, flush=True)
    os._exit(1)
