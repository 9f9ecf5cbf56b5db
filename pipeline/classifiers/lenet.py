"""LeNet-5, 61,706 parameters for MNIST: LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998).

Layers and sizes are those of the paper; ReLU, max pooling and cross entropy replace its activations, pooling and loss.
"""

from torch import nn

from pipeline.datasets.arrays import Shape
from pipeline.training.networks import fit, flat_size

__all__ = ["build", "fit"]


def build(shape: Shape, classes: int) -> nn.Sequential:
    """Return the network, (n, *shape) to (n, classes) logits. The sizes in the comments are those for 28x28 pixels."""
    convolutions = nn.Sequential(
        nn.Conv2d(shape.channels, 6, 5, padding=2),  # (n, 6, 28, 28)
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),  # (n, 16, 10, 10)
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),  # (n, 400)
    )
    return nn.Sequential(
        *convolutions,
        nn.Linear(flat_size(convolutions, shape), 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )
