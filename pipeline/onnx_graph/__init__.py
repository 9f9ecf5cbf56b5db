"""ONNX graphs: exporting modules, joining graphs, writing model files."""
