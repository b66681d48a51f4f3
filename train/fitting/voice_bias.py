"""The bias of the voice answer, fitted on voices that the network has not heard.

To a network, the neutral sentences of its training speakers sound more alike than those of other
people. A voice answer that was learnt there takes the greater distances of an unknown voice for
emotion, mostly for anger. A constant per label, fitted on the validation speakers, takes that back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network import Network
from model.voice import HEARD, KNOWN, SHARE, averaged, memory_input
from train.corpora.known import NEUTRAL
from train.corpora.own_recordings import UNKNOWN
from train.fitting.scoring import LOG_TEMPERATURES, Votes, voice_input_of, vote_weights
from train.fitting.validation import ValidationSet
from train.progress import tracked

Float64 = NDArray[np.float64]

#: Neutral sentences by which a voice is known, and draws of these for every recording.
SENTENCES, DRAWS = 3, 3
#: Seed of the draws.
SEED = 0
#: Standard deviation of the bias before anything is heard: few recordings move it little.
EXPECTED = 1.0


@dataclass(frozen=True)
class KnownVotes:
    """The votes on a recording whose voice is known from other recordings.

    Attributes:
        votes: the votes; logits of the network and its voice answer together.
        shares: ``(votes, 1)`` share of the voice answer in these logits.
        label: index of the true label.
    """

    votes: Votes
    shares: Tensor
    label: int


def fit_voice_bias(network: Network, alone: ValidationSet) -> Tensor | None:
    """Find the bias with the likeliest verdicts on recordings of known voices.

    Every label counts equally. A temperature is fitted beside the bias and left out of the result,
    since the network's own is for voices that are not known.

    Args:
        network: network with a voice memory, which has not heard these speakers; it is set to
            evaluation mode.
        alone: their recordings, each in a stream of its own.

    Returns:
        ``(labels,)``, to be added to the voice answer; None unless every label has a recording of
        a voice with other neutral sentences.
    """
    from scipy.optimize import minimize

    found = list(known_votes(network, alone))
    labels = np.array([one.label for one in found], np.int64)
    counts = np.bincount(labels, minlength=len(network.config.labels))
    if not counts.all():
        return None
    logits = np.concatenate([one.votes.logits.double().numpy() for one in found])
    weights = np.concatenate([one.votes.weights.double().numpy() for one in found])[:, None]
    shares = np.concatenate([one.shares.double().numpy() for one in found])
    lengths = np.array([len(one.shares) for one in found])
    starts = np.cumsum(lengths) - lengths
    balance = 1.0 / (len(counts) * counts[labels])
    is_true = np.repeat(labels, lengths)[:, None] == np.arange(len(counts))

    def loss(point: Float64) -> tuple[float, Float64]:
        """Return the loss at the bias and the logarithm of the temperature, and its gradient."""
        bias, cold = point[:-1], np.exp(-point[-1])
        tempered = cold * (logits + shares * bias)
        answers = np.exp(tempered - tempered.max(axis=1, keepdims=True))
        answers /= answers.sum(axis=1, keepdims=True)
        own = (answers * is_true).sum(axis=1, keepdims=True)
        verdicts = np.add.reduceat((weights * own)[:, 0], starts) + 1e-9
        # In its tempered logits, a vote's true probability has the slope own * (is_true - answers).
        pull = weights * np.repeat(balance / verdicts, lengths)[:, None]
        slope = -pull * own * (is_true - answers)
        prior = bias / (EXPECTED**2 * len(found))
        by_bias = cold * (slope * shares).sum(axis=0) + prior
        by_temperature = -float((slope * tempered).sum())
        value = float(prior @ bias) / 2.0 - float((balance * np.log(verdicts)).sum())
        return value, np.append(by_bias, by_temperature)

    start = np.zeros(len(counts) + 1)
    bounds = [*[(None, None)] * len(counts), LOG_TEMPERATURES]
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return torch.tensor(fitted.x[:-1], dtype=torch.float32)


@torch.no_grad()
def known_votes(network: Network, alone: ValidationSet) -> Iterator[KnownVotes]:
    """Yield the votes on every recording of a known voice, once per set of neutral sentences.

    The sentences are others of the same speaker, never the judged one. Speakers without a name are
    left out.
    """
    network.eval()
    labels = network.config.labels
    if NEUTRAL not in labels:
        return
    by_voice: dict[tuple[str, str], list[int]] = defaultdict(list)
    voices = zip(alone.corpora, alone.speakers, strict=True)
    lengths = alone.features.lengths.tolist()
    for index, (voice, length) in enumerate(zip(voices, lengths, strict=True)):
        if length and voice[1] != UNKNOWN:
            by_voice[voice].append(index)
    generator = np.random.default_rng(SEED)
    sizes = [len(own) for own in by_voice.values()]
    for own in tracked(by_voice.values(), sizes, "recordings are heard by known voices"):
        neutral = [index for index in own if alone.labels[index] == labels.index(NEUTRAL)]
        pooled = {index: _pooled(network, alone, index) for index in neutral}
        orders = [generator.permutation(neutral).tolist() for _ in range(DRAWS)]
        for index in own:
            others = [[one for one in order if one != index] for order in orders]
            if not others[0]:
                continue
            judged = pooled[index] if index in pooled else _pooled(network, alone, index)
            for known in sorted({tuple(sorted(order[:SENTENCES])) for order in others}):
                windows = torch.cat([*(pooled[one] for one in known), judged], dim=1)
                yield _votes(network, alone, (*known, index), windows)


def _pooled(network: Network, alone: ValidationSet, index: int) -> Tensor:
    """Return a recording's pooled windows, ``(1, timesteps, pooled)``."""
    features = alone.features
    values = torch.from_numpy(features.values[features.rows(index)])
    pooled: Tensor
    pooled, _ = network.attention(network.sequence(values.to(network.classifier.weight)[None]))
    return pooled


def _votes(
    network: Network, alone: ValidationSet, indices: Sequence[int], windows: Tensor
) -> KnownVotes:
    """Return the votes on the last of these recordings; the others make its voice known.

    Args:
        network: the network.
        alone: the recordings.
        indices: the recordings, in order.
        windows: their pooled windows, ``(1, timesteps, pooled)``.
    """
    *known, judged = indices
    features, config = alone.features, network.config
    heard = [voice_input_of(features, one, config, KNOWN) for one in known]
    heard.append(voice_input_of(features, judged, config, HEARD))
    told = torch.from_numpy(np.concatenate(heard)).to(windows)
    assert network.voice is not None
    answer, believed = network.voice(memory_input(windows, told[None]))
    speech = features.speech[features.rows(judged)]
    own = slice(-len(speech), None)
    logits = averaged(network.classifier(windows[:, own]), answer[:, own], believed[:, own])
    weights = vote_weights(speech, 0, len(speech), config.window_timesteps)
    return KnownVotes(
        Votes(logits[0].cpu(), torch.from_numpy(weights)),
        (SHARE * believed[0, own]).cpu(),
        int(alone.labels[judged]),
    )


@torch.no_grad()
def add_voice_bias(network: Network, bias: Tensor) -> None:
    """Add a bias ``(labels,)`` to a network's voice answer, in place."""
    assert network.voice is not None
    network.voice.differ.bias.add_(bias.to(network.voice.differ.bias))
