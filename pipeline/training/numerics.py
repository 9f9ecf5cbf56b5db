"""Functions whose bits do not depend on the processor."""

import torch


def sqrt(values: torch.Tensor) -> torch.Tensor:
    """Return the correctly rounded square roots of float32 `values`.

    torch.sqrt uses MKL's vector library on the CPU. Its float32 kernel refines RSQRTPS, an approximate instruction with
    other bits on AMD than on Intel. The float64 kernel may differ in its last bits too, but rounding to float32 removes
    that: the square root of a float32 number is at least four units of float64's last place away from every number
    halfway between two float32 numbers, unless it is one exactly.
    """
    return values.double().sqrt().float()
