"""The shipped model: a folder with model.onnx, which contains all of its preprocessing, and model.json, its metadata.
That one file is evaluated, served and shipped; its SHA-256 is verified before it is used.

    classifier = Classifier.load("models/best")
    classifier.predict(images)  # images (n, 1, 28, 28) float32 in [0, 1], bright ink on dark -> (n,) digits
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from digits import checksums
from digits.errors import InputError
from digits.interface import DIGITNESS, INPUT, PROBABILITIES, SIZE

ADVICE = "Reinstall the package; in the repository, run `dvc repro`, or `git checkout models/best` for that folder."
BATCH, BATCH_PIXELS = 500, 400_000  # images per call of ONNX Runtime, and their pixels at most; bounds memory


@dataclass(frozen=True)
class Acceptance:
    """The rule that decides whether an image is read or rejected as "not a digit".

    Attributes:
        min_digitness: the smallest digitness that is accepted.
    """

    min_digitness: float

    def accept(self, digitness: np.ndarray) -> np.ndarray:
        """Return (n,) bool, which images are accepted, given their digitness (n,)."""
        return np.asarray(digitness >= self.min_digitness)


@dataclass(frozen=True)
class Classifier:
    """A model in ONNX Runtime, with its metadata.

    Attributes:
        session: ONNX Runtime's session of model.onnx.
        metadata: the content of model.json.
    """

    session: onnxruntime.InferenceSession
    metadata: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path | None = None, threads: int = 1) -> "Classifier":
        """Load model.onnx and model.json from `folder`, by default the shipped model.

        Args:
            threads: the number of CPU threads of one prediction.

        Raises:
            InputError: a file is missing or damaged, or the model is not the one that model.json describes.
        """
        folder = shipped_model() if folder is None else Path(folder)
        try:
            content, text = (folder / "model.onnx").read_bytes(), (folder / "model.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise InputError(f"{error.filename} not found: expected a folder with a model. {ADVICE}") from None
        try:
            metadata = json.loads(text)
            expected, _ = metadata["sha256"], Acceptance(**metadata["acceptance"])
        except (ValueError, KeyError, TypeError):
            path = folder / "model.json"
            raise InputError(f"{path}: expected a model's metadata, with sha256 and acceptance. {ADVICE}") from None
        checksums.verify(folder / "model.onnx", expected, ADVICE, content)
        return cls.from_bytes(content, metadata, threads)

    @classmethod
    def from_bytes(cls, content: bytes, metadata: dict[str, Any], threads: int = 1) -> "Classifier":
        """Return a classifier from the `content` of an ONNX file, which is not verified."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        return cls(onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]), metadata)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the most probable classes (n,), of digits the digits, for `images` as in `infer`."""
        return self.predict_proba(images).argmax(axis=1)

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Return the probability of each class, (n, classes) float32, for `images` as in `infer`."""
        return self.infer(images)[0]

    def infer(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities (n, classes) float32 and digitness (n,) float32 in [0, 1], how much each image looks
        like a digit at all; 1 if the model has no OOD detector.

        Args:
            images: (n, channels, height, width) float32 in [0, 1] in the model's shape; digits are (n, 1, 28, 28),
                bright ink on dark.

        Raises:
            ValueError: images of another shape, dtype or range.
        """
        if images.ndim != 4 or images.shape[1:] != self.shape or images.dtype != np.float32:
            raise ValueError(
                f"expected (n, {', '.join(map(str, self.shape))}) float32, found {images.shape} {images.dtype}"
            )
        if images.size and not (images.min() >= 0 and images.max() <= 1):  # also NaN
            raise ValueError(f"expected values in [0, 1], found {images.min()} to {images.max()}")
        if not len(images):
            return np.zeros((0, *self.session.get_outputs()[0].shape[1:]), np.float32), np.zeros(0, np.float32)
        outputs = [PROBABILITIES, DIGITNESS] if self.has_detector else [PROBABILITIES]
        size = min(BATCH, max(1, BATCH_PIXELS // (self.shape[1] * self.shape[2])))
        batches = [images[start : start + size] for start in range(0, len(images), size)]
        found = [self.session.run(outputs, {INPUT: batch}) for batch in batches]
        probabilities, *digitness = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return probabilities, digitness[0] if digitness else np.ones(len(images), np.float32)

    def accept(self, digitness: np.ndarray) -> np.ndarray:
        """Return (n,) bool, which images are read as digits, given the digitness (n,) that `infer` returned."""
        return self.acceptance.accept(digitness)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of an input image: (channels, height, width)."""
        return tuple(self.session.get_inputs()[0].shape[1:])

    @property
    def has_detector(self) -> bool:
        """Return whether the model computes `digitness`."""
        return DIGITNESS in [output.name for output in self.session.get_outputs()]

    def check_digits(self) -> None:
        """Check that the model reads digits: `digits.recognise` needs that.

        Raises:
            InputError: it is a model of something else.
        """
        if self.shape != (1, SIZE, SIZE) or not self.has_detector:
            title = self.metadata.get("data", {}).get("title", "another dataset")
            raise InputError(f"expected a model of handwritten digits, found one of {title}. {ADVICE}")

    @property
    def acceptance(self) -> Acceptance:
        """Return the model's rule of acceptance, whose constant is in model.json."""
        return Acceptance(**self.metadata["acceptance"])


def shipped_model() -> Path:
    """Return the folder of the model that comes with the package; in the repository that is models/best."""
    installed = Path(__file__).parent / "shipped"
    return installed if installed.is_dir() else Path(__file__).parents[1] / "models/best"
