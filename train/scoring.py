"""Accuracy over recordings, each a stream of its own, and the temperature that calibrates it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network import Network
from streamer.decision import VOTE_AFTER_TIMESTEPS
from train.data import Features


@dataclass(frozen=True)
class Scores:
    """Accuracy over recordings.

    Attributes:
        uar: mean recall over the classes (the paper's UA), in %.
        wa: share of recordings that are right, in %.
        confusion: ``(labels, labels)`` counts, true label by row.
        calibration_error: expected calibration error over 10 bins.
    """

    uar: float
    wa: float
    confusion: NDArray[np.int64]
    calibration_error: float


def score(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> Scores:
    """Score verdicts ``(recordings, labels)`` against the true labels ``(recordings,)``."""
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    counts = confusion.sum(axis=1)
    recall = np.diag(confusion)[counts > 0] / counts[counts > 0]
    confidence = probabilities.max(axis=1)
    right = predicted == labels
    bins = np.minimum((confidence * 10).astype(int), 9)
    error = sum(
        abs(float(right[bins == b].mean() - confidence[bins == b].mean()))
        * float((bins == b).mean())
        for b in np.unique(bins)
    )
    return Scores(100 * float(recall.mean()), 100 * float(right.mean()), confusion, error)


def voting_timesteps(
    speech: NDArray[np.float32], start: int, threshold: float
) -> NDArray[np.bool_]:
    """Which timesteps vote on a recording: speech, after enough of it; all where there is none."""
    is_speech = speech >= threshold
    is_speech[:start] = False
    votes: NDArray[np.bool_] = is_speech & (np.cumsum(is_speech) > VOTE_AFTER_TIMESTEPS)
    return votes if votes.any() else np.arange(len(speech)) >= start


@torch.no_grad()
def verdict_logits(network: Network, features: Features, threshold: float) -> list[Tensor]:
    """Per recording the logits ``(votes, labels)`` of the timesteps that vote on it."""
    network.eval()
    logits = []
    for values, speech, start in zip(
        features.values, features.speech, features.starts, strict=True
    ):
        if not len(values):
            logits.append(torch.zeros(1, len(network.config.labels)))
            continue
        estimates, _ = network(torch.from_numpy(values.astype(np.float32))[None])
        votes = voting_timesteps(speech.copy(), start, threshold)
        logits.append(estimates[0][torch.from_numpy(votes)])
    return logits


def verdicts(logits: Sequence[Tensor], temperature: float) -> NDArray[np.float64]:
    """Mean probabilities over the timesteps that vote: ``(recordings, labels)``."""
    return np.stack(
        [torch.softmax(one.double() / temperature, dim=-1).mean(dim=0).numpy() for one in logits]
    )


def fit_temperature(logits: Sequence[Tensor], labels: NDArray[np.int64]) -> float:
    """Temperature that makes the verdicts likeliest, by golden-section search on its logarithm."""
    from scipy.optimize import minimize_scalar

    def negative_log_likelihood(log_temperature: float) -> float:
        probabilities = verdicts(logits, float(np.exp(log_temperature)))
        return -float(np.log(probabilities[np.arange(len(labels)), labels] + 1e-9).mean())

    found = minimize_scalar(negative_log_likelihood, bounds=(-1.5, 1.5), method="bounded")
    return float(np.exp(found.x))
