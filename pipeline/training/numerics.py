"""Functions whose bits do not depend on the processor."""

import torch


def sqrt(values: torch.Tensor) -> torch.Tensor:
    """Return the correctly rounded square roots of float32 `values`.

    torch.sqrt uses MKL's vector library on the CPU. Its float32 kernel refines RSQRTPS, an approximate instruction with
    other bits on AMD than on Intel; the float64 kernel, rounded to float32, gives the same bits on both.
    """
    return values.double().sqrt().float()
