"""The torch networks and their ONNX export."""
