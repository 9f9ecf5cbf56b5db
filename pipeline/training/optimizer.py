"""The optimiser of all networks: AdamW with one cycle of the learning rate."""

from collections.abc import Callable
from typing import Any

import torch
from rich.progress import track
from torch import nn

BETAS = (0.7, 0.95)  # of AdamW; below the usual (0.9, 0.999) because runs are short


def optimizer(
    network: nn.Module, lr: float, weight_decay: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return AdamW, without weight decay of biases and normalisation layers, and one cycle of the learning rate."""
    decayed = [p for p in network.parameters() if p.dim() > 1]
    plain = [p for p in network.parameters() if p.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    # The fused implementation computes square roots with the same bits on all CPUs; the plain one does not.
    adamw = torch.optim.AdamW(groups, lr, BETAS, weight_decay=weight_decay, fused=True)
    return adamw, torch.optim.lr_scheduler.OneCycleLR(adamw, lr, total_steps=steps, cycle_momentum=False)


def minimise(
    network: nn.Module,
    loss: Callable[[], torch.Tensor],
    *,
    steps: int,
    lr: float,
    weight_decay: float,
    description: str,
) -> None:
    """Train `network` for a number of steps, and leave it in evaluation mode.

    Args:
        loss: returns the loss of a new batch.
        description: shown with the progress.
    """
    network.train().to(memory_format=torch.channels_last)
    adamw, schedule = optimizer(network, lr, weight_decay, steps)
    for _ in track(range(steps), description, transient=True):
        adamw.zero_grad()
        loss().backward()
        adamw.step()
        schedule.step()
    network.eval()
