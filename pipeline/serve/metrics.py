"""What Prometheus reads at /metrics: how the service does, and whether what comes in still looks like what it learned.

Confidence and ink are there to be compared with their own past: a camera that went out of focus or a new kind of form
shows in them long before anybody has labelled a picture. docs/deployment.md says how.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from pipeline.imaging.measurements import stroke_width
from pipeline.reading import Digit

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
CONFIDENCE = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1)
SHARES = (0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.25, 0.3, 0.4, 0.5)
WIDTHS = (1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8)


class Metrics:
    """All measures of one service, in a registry of their own."""

    def __init__(self, about: Mapping[str, str]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter("digits_requests", "Requests", ["method", "path", "status"], registry=self.registry)
        self._seconds = Histogram(
            "digits_request_seconds", "Seconds to an answer", ["path"], buckets=SECONDS, registry=self.registry
        )
        self._pictures = Histogram(
            "digits_per_picture", "Digits in a picture", buckets=(0, 1, 2, 4, 8, 16), registry=self.registry
        )
        self._digits = Counter("digits_read", "Digits read", ["digit"], registry=self.registry)
        self._confidence = Histogram(
            "digits_confidence", "Probability of a digit", buckets=CONFIDENCE, registry=self.registry
        )
        self._share = Histogram(
            "digits_ink_share", "Mean brightness of what the model saw", buckets=SHARES, registry=self.registry
        )
        self._width = Histogram(
            "digits_stroke_width", "Width of strokes in pixels of 28", buckets=WIDTHS, registry=self.registry
        )
        self.waiting = Gauge("digits_waiting", "Pictures that wait for their turn", registry=self.registry)
        model = Gauge("digits_model", "The model that answers", ["model", "sha256"], registry=self.registry)
        model.labels(**about).set(1)

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def picture(self, digits: Iterable[Digit]) -> None:
        """Count the digits of a picture that was read."""
        count = 0
        for digit in digits:
            count += 1
            self._digits.labels(str(digit.digit)).inc()
            self._confidence.observe(digit.probability)
            self._share.observe(float(digit.image.mean()))
            self._width.observe(float(stroke_width((digit.image[None] * 255).astype(np.uint8))[0]))
        self._pictures.observe(count)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
