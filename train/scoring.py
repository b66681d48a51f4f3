"""Verdicts of a network in training, and the temperature that calibrates them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network import SpectrogramNetwork
from streamer.decision import VOTE_AFTER_TIMESTEPS
from streamer.speech import SPEECH_THRESHOLD
from train.data import Features

#: Recordings of one length that are heard together.
TOGETHER = 64


def voting_timesteps(speech: NDArray[np.float32], start: int) -> NDArray[np.bool_]:
    """Which timesteps vote on a recording ``(timesteps,)``, as :class:`Verdict` decides live.

    Without votes what little speech there is counts, and without speech everything.

    Args:
        speech: ``(timesteps,)`` speech probability.
        start: timesteps before the utterance.
    """
    is_speech = speech >= SPEECH_THRESHOLD
    is_speech[:start] = False
    votes: NDArray[np.bool_] = is_speech & (np.cumsum(is_speech) > VOTE_AFTER_TIMESTEPS)
    if votes.any():
        return votes
    return is_speech if is_speech.any() else np.arange(len(speech)) >= start


@torch.no_grad()
def verdict_logits(network: SpectrogramNetwork, features: Features) -> list[Tensor]:
    """Per recording the logits ``(votes, labels)`` of the timesteps that vote on it.

    A network that answers once, at the end of the recording, has one vote.
    """
    network.eval()
    device = next(network.parameters()).device
    logits = [torch.zeros(1, len(network.config.labels))] * len(features)
    for group in _of_equal_length(features.lengths):
        values = np.stack([features.values[features.rows(index)] for index in group])
        estimates, _ = network(torch.from_numpy(values).to(device).float())
        for index, one in zip(group, estimates.cpu(), strict=True):
            speech, start = features.speech[features.rows(index)], int(features.starts[index])
            votes = torch.from_numpy(voting_timesteps(speech, start))
            logits[index] = one[votes] if len(one) == len(votes) else one
    return logits


def _of_equal_length(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Indices of recordings that fit one batch without padding; of empty ones none."""
    for length in np.unique(lengths[lengths > 0]):
        (indices,) = np.nonzero(lengths == length)
        for first in range(0, len(indices), TOGETHER):
            yield indices[first : first + TOGETHER]


def verdicts(logits: Sequence[Tensor], temperature: float) -> NDArray[np.float64]:
    """Mean probabilities over the timesteps that vote: ``(recordings, labels)``."""
    return np.stack(
        [torch.softmax(one.double() / temperature, dim=-1).mean(dim=0).numpy() for one in logits]
    )


def fit_temperature(logits: Sequence[Tensor], labels: NDArray[np.int64]) -> float:
    """Temperature that makes the verdicts likeliest, by bounded search on its logarithm."""
    from scipy.optimize import minimize_scalar

    def negative_log_likelihood(log_temperature: float) -> float:
        probabilities = verdicts(logits, float(np.exp(log_temperature)))
        return -float(np.log(probabilities[np.arange(len(labels)), labels] + 1e-9).mean())

    found = minimize_scalar(negative_log_likelihood, bounds=(-1.5, 1.5), method="bounded")
    return float(np.exp(found.x))
