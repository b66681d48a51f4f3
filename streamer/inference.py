"""ONNX networks on one thread: a step is too small to share, and cores are for streams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime

#: Streams that a network takes at once; with more what they carry falls out of the cache.
LARGEST_BATCH = 16


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open an ONNX file; raises what onnxruntime raises, a dozen unrelated types."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised, and told by who opens the file
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
