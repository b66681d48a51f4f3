"""Checks the samples that a caller of the library gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def checked_samples(samples: object) -> NDArray[np.float32]:
    """Return samples as a NumPy array, if they are a float32 vector ``(n,)`` of any library.

    Raises:
        ValueError: they are not; the message says how to convert them.
    """
    if isinstance(samples, list | tuple | str | bytes | None):
        given, advice = type(samples).__name__, ""
        if isinstance(samples, list | tuple):
            advice = "np.asarray(samples, np.float32) makes one"
    else:
        array = np.asarray(samples)
        if array.ndim == 1 and array.dtype == np.float32:
            return array
        given, advice = f"{array.dtype} {array.shape}", _advice(array)
    raise ValueError(
        f"samples must be a float32 vector, mono within [-1, 1], are {given}"
        f"{advice and f'; {advice}'}"
    )


def _advice(array: NDArray[np.generic]) -> str:
    if array.dtype.kind == "i":
        greatest = 2 ** (8 * array.dtype.itemsize - 1)
        return f"samples.astype(np.float32) / {greatest} converts integers of full scale"
    if array.dtype.kind == "f" and array.dtype != np.float32:
        return "samples.astype(np.float32) converts them"
    if array.ndim == 2:
        return "samples.mean(axis=1) mixes channels in columns"
    return ""
