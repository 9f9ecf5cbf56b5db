"""LeNet-5 with its 61,706 parameters: LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998).

Layers and sizes are those of the paper; ReLU, max pooling and cross entropy replace its activations, pooling and loss.
"""

from torch import nn

from pipeline.training.networks import fit

__all__ = ["build", "fit"]


def build() -> nn.Sequential:
    """Return the network, (n, 1, 28, 28) to (n, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),  # (n, 6, 28, 28)
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),  # (n, 16, 10, 10)
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),  # (n, 400)
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )
