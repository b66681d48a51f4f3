"""Which model hears, and how: the same on every worker, or none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.modelfile.shipped import SHIPPED, model_path
from streamer.recognition.prior import Prior
from streamer.recognition.profile import Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.version import version


@dataclass(frozen=True, slots=True)
class Spec:
    """What a worker must have, and what it is asked to do.

    Attributes:
        version: of ser-live.
        digest: SHA-256 of the model file, in hexadecimal digits.
        shipped: name of the shipped model, empty for the default; None for a file of the user's.
        file: that file, on the client; None for a shipped model.
        prior: the assumed frequency of each label.
        adaptation: how each stream adapts to its voice.
        labels: the model's labels.
    """

    version: str
    digest: str
    shipped: str | None
    file: Path | None
    prior: Prior
    adaptation: Adaptation
    labels: tuple[str, ...]


def spec_of(model: Path | None, recognizer: Recognizer, adaptation: Adaptation) -> Spec:
    """Return the specification of a recognizer that was loaded from a model, as ``--model``."""
    path = model_path(model)
    shipped = None
    if model is None:
        shipped = ""
    elif str(model) in SHIPPED and path != Path(model):
        shipped = str(model)
    return Spec(
        version(),
        recognizer.digest,
        shipped,
        path if shipped is None else None,
        recognizer.prior,
        adaptation,
        recognizer.metadata.labels,
    )
