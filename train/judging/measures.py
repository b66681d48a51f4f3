"""How well verdicts are calibrated, and how sure their accuracy is; no network and no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.measures import Accuracy, Int64, confusion_matrix, recalls

Float64 = NDArray[np.float64]

#: Bins of confidence over which the calibration error is expected.
CALIBRATION_BINS = 10
#: Draws of the bootstrap, and the share of them between its bounds, in %.
RESAMPLES = 2_000
CONFIDENCE = 95.0


@dataclass(frozen=True)
class Scores(Accuracy):
    """Accuracy over recordings, and how far their verdicts' confidence is off.

    Attributes:
        calibration_error: expected calibration error of those with one; NaN if there are none.
    """

    calibration_error: float


def reliability(probabilities: NDArray[np.floating], labels: Int64) -> Float64:
    """How sure verdicts were and how often right: ``(bins, 3)`` confidence, accuracy, recordings.

    Bins of equal width; without recordings confidence and accuracy are zero.

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
    """Expected calibration error of ``(recordings, labels)`` against the labels ``(recordings,)``.

    The mean, over recordings, of the distance between confidence and accuracy in their bin.
    """
    if not len(labels):
        return float("nan")
    confidence, accuracy, counts = reliability(probabilities, labels).T
    return float(np.abs(confidence - accuracy) @ counts / counts.sum())


def answers(
    probabilities: NDArray[np.floating], has_verdict: NDArray[np.bool_] | None = None
) -> Int64:
    """Index of the likeliest label ``(recordings,)``; the number of labels where no verdict is."""
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
        probabilities: of the verdicts.
        labels: indices of the true labels.
        has_verdict: ``(recordings,)``, false where no speech was found; None if it always was.
    """
    classes = probabilities.shape[1]
    answered = answers(probabilities, has_verdict)
    is_verdict = answered < classes
    confusion = confusion_matrix(labels, answered, classes)
    return Scores(confusion, calibration_error(probabilities[is_verdict], labels[is_verdict]))


def uar_interval(answered: Int64, labels: Int64, speakers: Sequence[str]) -> tuple[float, float]:
    """95 % interval of the UAR, by bootstrap over speakers.

    Recordings of one speaker are alike: drawing speakers with replacement, all their recordings
    with them, says how much another handful of people would change the figure. With a few
    speakers the interval itself is coarse, with one there is none: NaN.

    Args:
        answered: ``(recordings,)`` as :func:`answers` gives them.
        labels: ``(recordings,)`` indices of the true labels.
        speakers: of each recording.
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
        scores: over the recordings.
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
    """Score verdicts ``(recordings, labels)``, and say how sure the score is.

    Args:
        probabilities: of the verdicts.
        has_verdict: ``(recordings,)``, false where no speech was found.
        labels: ``(recordings,)`` indices of the true labels.
        speakers: of each recording.
    """
    answered = answers(probabilities, has_verdict)
    return Result(
        score(probabilities, labels, has_verdict), uar_interval(answered, labels, speakers)
    )


def untempered(probabilities: NDArray[np.floating], temperature: float) -> Float64:
    """Probabilities at temperature 1 of what a network gave at another one.

    ``p = softmax(z / T)`` gives the logits back up to a constant, ``z = T log p``, so
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
