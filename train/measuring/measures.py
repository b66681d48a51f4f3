"""Calibration of verdicts and confidence intervals of their accuracy, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.measures import Accuracy, Int64, confusion_matrix, recalls

Float64 = NDArray[np.float64]

#: Confidence bins of the expected calibration error.
CALIBRATION_BINS = 10
#: Draws of the bootstrap, and the share of them within the interval, in %.
RESAMPLES = 2_000
CONFIDENCE = 95.0


@dataclass(frozen=True)
class Scores(Accuracy):
    """Accuracy over recordings, and the calibration error of their verdicts.

    Attributes:
        calibration_error: expected calibration error; NaN if there are no verdicts.
    """

    calibration_error: float


def reliability(probabilities: NDArray[np.floating], labels: Int64) -> Float64:
    """Compute a reliability diagram, ``(bins, 3)``: confidence, accuracy, number of recordings.

    Bins have equal width; empty bins have confidence and accuracy zero.

    Args:
        probabilities: ``(recordings, labels)``.
        labels: ``(recordings,)`` indices of the true labels.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    index = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts = np.bincount(index, minlength=CALIBRATION_BINS)
    means = [
        np.bincount(index, weights=values, minlength=CALIBRATION_BINS) / np.maximum(counts, 1)
        for values in (confidence, right)
    ]
    return np.stack([*means, counts], axis=1)


def calibration_error(probabilities: NDArray[np.floating], labels: Int64) -> float:
    """Compute the expected calibration error of probabilities ``(recordings, labels)``.

    It is the mean over recordings of the distance between confidence and accuracy in their bin.
    """
    if not len(labels):
        return float("nan")
    confidence, accuracy, counts = reliability(probabilities, labels).T
    return float(np.abs(confidence - accuracy) @ counts / counts.sum())


def answers(
    probabilities: NDArray[np.floating], has_verdict: NDArray[np.bool_] | None = None
) -> Int64:
    """Return likeliest labels ``(recordings,)``; the number of labels stands for no verdict."""
    likeliest: Int64 = probabilities.argmax(axis=1)
    if has_verdict is None:
        return likeliest
    return np.where(has_verdict, likeliest, probabilities.shape[1])


def score(
    probabilities: NDArray[np.floating],
    labels: Int64,
    has_verdict: NDArray[np.bool_] | None = None,
) -> Scores:
    """Score verdicts ``(recordings, labels)`` against the true labels ``(recordings,)``.

    Args:
        probabilities: probabilities of the verdicts.
        labels: indices of the true labels.
        has_verdict: ``(recordings,)``, false if no speech was found; None if all have one.
    """
    classes = probabilities.shape[1]
    answered = answers(probabilities, has_verdict)
    is_verdict = answered < classes
    confusion = confusion_matrix(labels, answered, classes)
    return Scores(confusion, calibration_error(probabilities[is_verdict], labels[is_verdict]))


def uar_interval(answered: Int64, labels: Int64, speakers: Sequence[str]) -> tuple[float, float]:
    """Compute the 95 % interval of the UAR by bootstrap over speakers.

    Recordings of one speaker are alike, so each draw takes speakers, with all their recordings and
    with replacement; it shows how much other speakers would change the figure. With few speakers
    the interval is coarse; with one it is NaN.

    Args:
        answered: ``(recordings,)`` from :func:`answers`.
        labels: ``(recordings,)`` indices of the true labels.
        speakers: speaker of each recording.
    """
    names, index = np.unique(np.asarray(speakers), return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    classes = 1 + max(int(labels.max()), int(answered.max()))
    confusions = np.zeros((len(names), classes, classes), np.int64)
    np.add.at(confusions, (index, labels, answered), 1)
    even = np.full(len(names), 1.0 / len(names))
    draws = np.random.default_rng(0).multinomial(len(names), even, RESAMPLES)
    uars = np.nanmean(recalls(np.einsum("ds,sij->dij", draws, confusions)), axis=-1)
    low, high = np.percentile(uars, [50 - CONFIDENCE / 2, 50 + CONFIDENCE / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Result:
    """Accuracy in one condition.

    Attributes:
        scores: scores over the recordings.
        interval: 95 % interval of the UAR, by bootstrap over speakers.
    """

    scores: Scores
    interval: tuple[float, float]


def result_of(
    probabilities: NDArray[np.floating],
    has_verdict: NDArray[np.bool_],
    labels: Int64,
    speakers: Sequence[str],
) -> Result:
    """Score verdicts ``(recordings, labels)`` with a confidence interval.

    Args:
        probabilities: probabilities of the verdicts.
        has_verdict: ``(recordings,)``, false if no speech was found.
        labels: ``(recordings,)`` indices of the true labels.
        speakers: speaker of each recording.
    """
    answered = answers(probabilities, has_verdict)
    return Result(
        score(probabilities, labels, has_verdict), uar_interval(answered, labels, speakers)
    )


def untempered(probabilities: NDArray[np.floating], temperature: float) -> Float64:
    """Convert probabilities at a temperature to those at temperature 1.

    ``p = softmax(z / T)`` determines the logits up to a constant, ``z = T log p``, so
    ``softmax(z)`` needs no second model.

    Args:
        probabilities: ``(..., labels)`` at ``temperature``.
        temperature: T, as the model file states it.
    """
    # A float32 probability may have been rounded to zero.
    smallest = np.finfo(np.float32).tiny
    logits = temperature * np.log(np.maximum(probabilities, smallest, dtype=np.float64))
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
