"""Functionals and a support vector machine: the comparison's hand-crafted system.

A substitute for the systems of Table 2 on hand-crafted features (LSTM [24], HSF-CRNN [23]), whose
features the paper does not give: openSMILE extracts the 88 functionals of eGeMAPS (Eyben et al.,
2016) from the whole, unchanged recording, and a linear SVM classifies them. It did better than a
radial kernel on the validation speakers of CREMA-D (68.2 against 67.0 % UAR). openSMILE's licence
allows research and education, not products.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import streamer.sound.resampler
from streamer.errors import SerLiveError
from streamer.signal import SAMPLE_RATE
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance
from train.measuring.measures import Scores, score
from train.whole_file import whole_file
from train.workers import WorkerPool

Float32 = NDArray[np.float32]

FEATURE_SET = "eGeMAPSv02"
#: Penalties C to choose from on the validation speakers.
PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)


def _required(module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise SerLiveError(
            "functionals need opensmile and scikit-learn: pip install --editable '.[baselines]'"
        ) from error


def check_packages() -> None:
    """Raise a SerLiveError that says what to install if a package is missing."""
    for module in ("opensmile", "sklearn.svm"):
        _required(module)


@functools.cache
def _extractor() -> Any:
    opensmile = _required("opensmile")
    return opensmile.Smile(FEATURE_SET, opensmile.FeatureLevel.Functionals)


def _extract(path: Path) -> Float32:
    """Extract the functionals ``(88,)`` of a recording at 16 kHz, in a worker."""
    frame = _extractor().process_signal(read_recording(path), SAMPLE_RATE)
    functionals: Float32 = np.asarray(frame, np.float32)[0]
    return functionals


@dataclass(frozen=True)
class Functionals:
    """Functionals of utterances with labels and corpora.

    Attributes:
        values: ``(utterances, 88)``.
        labels: ``(utterances,)`` index of the label.
        corpora: ``(utterances,)`` corpus of each.
    """

    values: Float32
    labels: NDArray[np.int64]
    corpora: NDArray[np.str_]


def prepare_functionals(
    utterances: Sequence[Utterance], labels: Sequence[str], cache: Path, workers: int = 2
) -> Functionals:
    """Return the functionals of every utterance, cached or computed.

    Args:
        utterances: utterances to prepare, in order.
        labels: names of the label indices.
        cache: folder for the functionals.
        workers: number of worker processes.

    Raises:
        SerLiveError: a recording cannot be read, or openSMILE is not installed.
    """
    files = [(str(u.path), u.path.stat().st_size, u.path.stat().st_mtime_ns) for u in utterances]
    resampler = Path(str(streamer.sound.resampler.__file__)).read_bytes()
    key = repr((files, FEATURE_SET, _required("opensmile").__version__, resampler))
    path = cache / f"functionals-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        with WorkerPool(workers) as pool:
            values = list(pool.map(_extract, [u.path for u in utterances], chunksize=32))
        cache.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            np.save(file, np.stack(values))
    return Functionals(
        np.load(path),
        np.array([labels.index(u.label) for u in utterances], np.int64),
        np.array([u.corpus for u in utterances]),
    )


@dataclass(frozen=True)
class FittedFunctionals:
    """A linear support vector machine on standardised functionals.

    It is not stored: fitting takes seconds, and scikit-learn's own format is pickle.

    Attributes:
        pipeline: scikit-learn pipeline from functionals to label index.
        penalty: C, chosen on the validation speakers.
        validation_uar: UAR on these, mean over the corpora, in %.
    """

    pipeline: Any
    penalty: float
    validation_uar: float

    def answers(self, data: Functionals) -> NDArray[np.int64]:
        """Predict the label index of each utterance."""
        found: NDArray[np.int64] = self.pipeline.predict(data.values)
        return found

    def scores(self, data: Functionals) -> dict[str, Scores]:
        """Score each corpus in the data.

        Every answer counts as certain, so the calibration error is the error rate.
        """
        answers = np.eye(len(self.pipeline.classes_))[self.answers(data)]
        return {
            str(corpus): score(answers[data.corpora == corpus], data.labels[data.corpora == corpus])
            for corpus in dict.fromkeys(data.corpora)
        }


def fit_functionals(train: Functionals, validation: Functionals) -> FittedFunctionals:
    """Fit with every penalty and keep the best on the validation speakers; ties go to the smallest.

    Raises:
        SerLiveError: scikit-learn is not installed.
    """
    return max(
        (_fit(train, validation, penalty) for penalty in PENALTIES),
        key=lambda fitted: fitted.validation_uar,
    )


def _fit(train: Functionals, validation: Functionals, penalty: float) -> FittedFunctionals:
    pipeline = _required("sklearn.pipeline").make_pipeline(
        _required("sklearn.preprocessing").StandardScaler(),
        _required("sklearn.svm").LinearSVC(C=penalty, class_weight="balanced", dual=False),
    )
    pipeline.fit(train.values, train.labels)
    fitted = FittedFunctionals(pipeline, penalty, validation_uar=0.0)
    uar = float(np.mean([scores.uar for scores in fitted.scores(validation).values()]))
    return replace(fitted, validation_uar=uar)
