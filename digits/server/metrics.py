"""Metrics for Prometheus: requests, and the distribution of confidence and of the ink.

Confidence and ink are monitored for drift: a camera out of focus or a new kind of form changes their distributions
before any labels are available. See docs/deployment.md.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from digits.measurements import stroke_width
from digits.recognise import Digit

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
COUNTS = (0, 1, 2, 4, 8, 16)
CONFIDENCE = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1)
SHARES = (0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.25, 0.3, 0.4, 0.5)
WIDTHS = (1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8)


class Metrics:
    """The metrics of one service, in their own registry.

    Attributes:
        waiting: the number of queued pictures.
    """

    def __init__(self, model: Mapping[str, str]) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        self._requests = Counter("digits_requests", "Requests", ["method", "path", "status"], registry=registry)
        self._seconds = histogram("digits_request_seconds", "Duration of requests in seconds", SECONDS, ["path"])
        self._pictures = histogram("digits_per_picture", "Digits per picture", COUNTS)
        self._digits = Counter("digits_read", "Recognised digits", ["digit"], registry=registry)
        self._confidence = histogram("digits_confidence", "Probability of the recognised digit", CONFIDENCE)
        self._share = histogram("digits_ink_share", "Mean brightness of the model input, ink is 1", SHARES)
        self._width = histogram("digits_stroke_width", "Stroke width in pixels of the model input", WIDTHS)
        self.waiting = Gauge("digits_waiting", "Pictures in the queues", registry=registry)
        Gauge("digits_model", "The model in use", list(model), registry=registry).labels(**model).set(1)

    def count_request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def count_picture(self, digits: Sequence[Digit]) -> None:
        """Count a picture and its digits."""
        for digit in digits:
            self._digits.labels(str(digit.digit)).inc()
            self._confidence.observe(digit.probability)
            self._share.observe(float(digit.image.mean()))
            self._width.observe(float(stroke_width((digit.image[None] * 255).astype(np.uint8))[0]))
        self._pictures.observe(len(digits))

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
