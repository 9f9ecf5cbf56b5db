"""What makes a run repeatable: threads, instruction sets, seeds. Every stage imports this module first.

NumPy, scikit-learn and torch choose their code paths by CPU and read these variables once, while they load; so they are
set here, on import, before anything else loads. Results then do not depend on the CPU's newest instructions, nor on
the caller's environment. ``runtime.reproducible: false`` in params.yaml frees the CPU; bytes then differ between CPUs.
"""

import os
import random
import sys
from collections.abc import Callable

from pipeline import errors, params
from pipeline.errors import InputError

# One code path for all x86-64 CPUs since 2013 (AVX2), whatever this one could do beyond it.
PINS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # torch's convolutions
    "MKL_CBWR": "COMPATIBLE",  # torch's matrix products
    "OPENBLAS_CORETYPE": "Haswell",  # matrix products of NumPy and SciPy
}


def settings(runtime: params.Runtime) -> dict[str, str]:
    """Return the environment variables that `runtime` stands for."""
    threads = {name: str(runtime.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    # Idle threads sleep instead of spinning: on a busy machine spinning costs many times the work.
    return threads | {"OMP_WAIT_POLICY": "PASSIVE"} | (PINS if runtime.reproducible else {})


def seed(value: int) -> None:
    """Seed every global random generator that is loaded. Stages call it once, before they compute."""
    random.seed(value)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(value)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(value)


def run(main: Callable[[], None]) -> None:
    """Run a stage; an InputError ends it with a message that also says how to get the last outputs back."""

    def stage() -> None:
        try:
            main()
        except InputError as error:
            raise InputError(
                f"{error}\nDVC removed this stage's last outputs; `dvc checkout` brings them back."
            ) from None

    errors.run(stage)


try:
    os.environ.update(settings(params.load().runtime))
except InputError as _error:
    sys.exit(f"error: {_error}")
