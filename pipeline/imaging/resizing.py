"""Images of another size as 28x28 pixels."""

import numpy as np
from PIL import Image

from pipeline.imaging.normalise import BOX, SIZE


def resize(images: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Return uint8 `images` (n, height, width) as (n, size, size); untouched where they have that size.

    Smaller ones, which the digit fills, are enlarged (bicubic) to the box that MNIST's digits have, 20x20 in 28x28;
    larger ones are made smaller as they are.
    """
    if images.shape[1:] == (size, size):
        return images
    inner = size * BOX // SIZE if max(images.shape[1:]) < size else size
    resized = [Image.fromarray(image).resize((inner, inner), Image.Resampling.BICUBIC) for image in images]
    margin = (size - inner) // 2
    return np.pad(np.stack([np.asarray(image) for image in resized]), ((0, 0), (margin, margin), (margin, margin)))
