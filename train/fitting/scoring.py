"""Verdicts of a network in training, and the temperature that calibrates them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import SystemConfig
from model.network import SpectrogramNetwork
from model.voice import HEARD, UNHEARD
from streamer.recognition.decision import vote
from streamer.signal import SPEECH_THRESHOLD
from train.features.data import Features

#: Recordings of equal length per batch.
TOGETHER = 64
#: Bounds of the logarithm of a temperature.
LOG_TEMPERATURES = (-1.5, 1.5)


@dataclass(frozen=True)
class Votes:
    """The timesteps that vote on a recording.

    Attributes:
        logits: ``(votes, labels)``.
        weights: ``(votes,)``, sum to 1.
    """

    logits: Tensor
    weights: Tensor


def vote_weights(
    speech: NDArray[np.float32], first: int, end: int, window: int
) -> NDArray[np.float64]:
    """Weight each timestep in an utterance's verdict, as in live use; the weights sum to 1.

    Without speech all timesteps count equally; live use gives no verdict then.

    Args:
        speech: ``(timesteps,)`` speech probability.
        first: first timestep of the utterance.
        end: timestep after the utterance.
        window: length of the rolling window in timesteps.
    """
    index = np.arange(len(speech))
    own = (index >= first) & (index < end)
    is_speech = speech >= SPEECH_THRESHOLD
    total = np.concatenate([np.zeros(window, np.int64), np.cumsum(is_speech)])
    weights = own * is_speech * vote(total[window:] - total[:-window]).astype(np.float64)
    if not weights.any():
        weights = own.astype(np.float64)
    return np.asarray(weights / max(weights.sum(), 1.0e-9))


@torch.no_grad()
def votes_of(
    network: SpectrogramNetwork, features: Features, spans: NDArray[np.int64] | None = None
) -> list[Votes]:
    """Run a network and return the votes on each utterance.

    A network with one answer, at the end of the stream, has one vote.

    Args:
        network: network to run.
        features: features of the streams.
        spans: ``(utterances, 3)`` stream, first timestep, timestep after the last; None if each
            stream is one utterance.
    """
    network.eval()
    config = network.config
    device = next(network.parameters()).device
    answers = [torch.zeros(1, len(config.labels))] * len(features)
    for group in _of_equal_length(features.lengths):
        values = np.stack([features.values[features.rows(index)] for index in group])
        heard = np.stack([voice_input_of(features, index, config) for index in group])
        given = (torch.from_numpy(one).to(device) for one in (values, heard))
        estimates, _ = network(*(one.float() for one in given))
        for index, logits in zip(group, estimates.cpu(), strict=True):
            answers[index] = logits
    votes = []
    for stream, first, end in (features.whole if spans is None else spans).tolist():
        speech, logits = features.speech[features.rows(stream)], answers[stream]
        weights = torch.ones(1)
        if len(logits) == len(speech):
            found = vote_weights(speech, first, end, config.window_timesteps)
            logits, weights = logits[first:end], torch.from_numpy(found[first:end])
        votes.append(Votes(logits, weights))
    return votes


def voice_input_of(
    features: Features, index: int, config: SystemConfig, how: float = HEARD
) -> NDArray[np.float32]:
    """Return what a voice memory is told of a stream, see :func:`model.voice.memory_input`.

    Args:
        features: features of the streams.
        index: the stream.
        config: configuration of the system.
        how: how its speech is heard, :data:`model.voice.HEARD` or :data:`model.voice.KNOWN`.

    Returns:
        ``(timesteps,)``, or ``(timesteps, 2)`` for a system that hears levels.
    """
    rows = features.rows(index)
    heard = np.where(features.speech[rows] >= SPEECH_THRESHOLD, how, UNHEARD).astype(np.float32)
    return np.stack([heard, features.levels[rows]], axis=-1) if config.hears_level else heard


def _of_equal_length(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield indices of recordings that batch without padding; empty recordings are skipped."""
    for length in np.unique(lengths[lengths > 0]):
        (indices,) = np.nonzero(lengths == length)
        for first in range(0, len(indices), TOGETHER):
            yield indices[first : first + TOGETHER]


def verdicts(votes: Sequence[Votes], temperature: float) -> NDArray[np.float64]:
    """Return the votes' weighted mean probabilities, ``(recordings, labels)``."""
    return np.stack(
        [
            (one.weights.double() @ torch.softmax(one.logits.double() / temperature, -1)).numpy()
            for one in votes
        ]
    )


def fit_temperature(votes: Sequence[Votes], labels: NDArray[np.int64]) -> float:
    """Find the temperature of the likeliest verdicts by bounded search on its logarithm."""
    from scipy.optimize import minimize_scalar

    def negative_log_likelihood(log_temperature: float) -> float:
        probabilities = verdicts(votes, float(np.exp(log_temperature)))
        return -float(np.log(probabilities[np.arange(len(labels)), labels] + 1e-9).mean())

    found = minimize_scalar(negative_log_likelihood, bounds=LOG_TEMPERATURES, method="bounded")
    return float(np.exp(found.x))
