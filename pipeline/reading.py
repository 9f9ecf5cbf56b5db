"""Reading the digits in a picture, left to right: where they are, what they are, and how sure the model is.

classifier = Classifier.load("models/best")
digits = read(classifier, pictures.read(Path("photo.jpg")))
text = "".join(str(digit.digit) for digit in digits)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.artifact import Classifier
from pipeline.imaging import normalise


@dataclass(frozen=True)
class Digit:
    """One digit of a picture.

    Attributes:
        digit: from 0 to 9.
        probability: of that digit, in [0, 1].
        probabilities: of all ten digits.
        box: left, top, right, bottom in pixels of the picture; right and bottom are just outside.
        image: (28, 28) float32 in [0, 1], what the model saw.
    """

    digit: int
    probability: float
    probabilities: list[float]
    box: tuple[int, int, int, int]
    image: np.ndarray

    def facts(self) -> dict[str, Any]:
        """Return all but the image, ready for JSON."""
        return {
            "digit": self.digit,
            "probability": round(self.probability, 4),
            "probabilities": [round(probability, 4) for probability in self.probabilities],
            "box": list(self.box),
        }


def read(classifier: Classifier, grey: np.ndarray) -> list[Digit]:
    """Return the digits in `grey`, (height, width) float32 in [0, 1], from left to right; none where there is none."""
    image = normalise.normalise(grey)
    if not image.any():
        return []
    probabilities = classifier.probabilities(image[None, None])[0]
    digit, box = int(probabilities.argmax()), (0, 0, grey.shape[1], grey.shape[0])
    return [Digit(digit, float(probabilities[digit]), probabilities.tolist(), box, image)]
