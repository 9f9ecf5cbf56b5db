"""The interface of model.onnx: names and sizes of its input and outputs."""

SIZE = 28  # height and width of an input image, in pixels
INPUT = "images"  # (n, 1, 28, 28) float32 in [0, 1], bright ink on dark
PROBABILITIES = "probabilities"  # (n, 10) float32
DIGITNESS = "digitness"  # (n,) float32 in [0, 1]
