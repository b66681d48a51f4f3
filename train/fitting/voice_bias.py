"""The bias of the voice answer, fitted on voices that the network has not heard.

To a network, the neutral sentences of its training speakers sound more alike than those of other
people. A voice answer that was learnt there takes the greater distances of an unknown voice for
emotion, mostly for anger. A constant per label, fitted on the validation speakers, takes that back.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network import Network
from model.voice import HEARD, KNOWN, SHARE, UNHEARD, averaged, memory_input
from streamer.signal import SPEECH_THRESHOLD
from train.corpora.known import NEUTRAL
from train.fitting.scoring import vote_weights
from train.fitting.validation import ValidationSet

#: Neutral sentences by which a voice is known, and draws of these for every recording.
SENTENCES, DRAWS = 3, 3
#: Seed of the draws.
SEED = 0
#: Weight of the bias's square in the loss; it settles the sum over the labels, which says nothing.
RIDGE = 1e-3


@torch.no_grad()
def fit_voice_bias(network: Network, alone: ValidationSet, temperature: float) -> Tensor:
    """Find the bias with the likeliest verdicts on recordings by known voices.

    Every recording is judged with three other neutral sentences of its speaker, each label counts
    equally, and the rest of the network stays as it is.

    Args:
        network: network with a voice memory; it has not heard these speakers.
        alone: their recordings, each in a stream of its own.
        temperature: temperature of the network's answers.

    Returns:
        ``(labels,)``, to be added to the voice answer; 0 if no recording has such sentences.
    """
    from scipy.optimize import minimize

    rows = _Rows(network, alone)
    if not rows.targets:
        return torch.zeros(len(network.config.labels))
    logits, weights = np.concatenate(rows.logits), np.concatenate(rows.weights)
    shares, targets = np.concatenate(rows.shares), np.array(rows.targets)
    starts = np.cumsum([0, *map(len, rows.weights)])[:-1]
    counts = np.bincount(targets, minlength=logits.shape[1])[targets]

    def loss(bias: NDArray[np.float64]) -> float:
        tempered = (logits + shares * bias) / temperature
        tempered -= tempered.max(axis=1, keepdims=True)
        probabilities = np.exp(tempered)
        probabilities *= weights[:, None] / probabilities.sum(axis=1, keepdims=True)
        verdicts = np.add.reduceat(probabilities, starts)[np.arange(len(targets)), targets]
        misses = -np.log(verdicts + 1e-9) / counts
        return float(misses.sum() / (1.0 / counts).sum() + RIDGE * (bias**2).sum())

    found = minimize(loss, np.zeros(logits.shape[1]), method="L-BFGS-B")
    return torch.tensor(found.x, dtype=torch.float32)


class _Rows:
    """Votes on recordings by known voices.

    Attributes:
        logits: ``(votes, labels)`` for each recording and draw.
        weights: ``(votes,)``, sum to 1.
        shares: ``(votes, 1)``, the voice answer's share in the logits.
        targets: label of each recording and draw.
    """

    def __init__(self, network: Network, alone: ValidationSet) -> None:
        self._network, self._alone = network.eval(), alone
        self.logits: list[NDArray[np.float64]] = []
        self.weights: list[NDArray[np.float64]] = []
        self.shares: list[NDArray[np.float64]] = []
        self.targets: list[int] = []
        by_voice: dict[tuple[str, str], list[int]] = defaultdict(list)
        voices = zip(alone.corpora, alone.speakers, strict=True)
        for index, (voice, length) in enumerate(
            zip(voices, alone.features.lengths.tolist(), strict=True)
        ):
            if length:
                by_voice[voice].append(index)
        generator = np.random.default_rng(SEED)
        for own in by_voice.values():
            self._hear(own, generator)

    def _hear(self, own: list[int], generator: np.random.Generator) -> None:
        """Judge all recordings of a voice."""
        labels = self._network.config.labels
        neutral = labels.index(NEUTRAL) if NEUTRAL in labels else -1
        calm = [index for index in own if self._alone.labels[index] == neutral]
        pooled = {index: self._pooled(index) for index in own}
        for _ in range(DRAWS):
            drawn = generator.permutation(calm).tolist()
            for index in own:
                known = [other for other in drawn if other != index][:SENTENCES]
                if known:
                    self._judge(index, known, pooled)

    def _pooled(self, index: int) -> Tensor:
        """Return a recording's pooled windows, ``(1, timesteps, pooled)``."""
        network, features = self._network, self._alone.features
        device = network.classifier.weight.device
        values = torch.from_numpy(features.values[features.rows(index)]).to(device).float()
        pooled: Tensor = network.attention(network.sequence(values[None]))[0]
        return pooled

    def _judge(self, index: int, known: list[int], pooled: dict[int, Tensor]) -> None:
        """Judge a recording after the known ones."""
        assert self._network.voice is not None
        heard = torch.cat([*(self._told(one, KNOWN) for one in known), self._told(index, HEARD)])
        windows = torch.cat([pooled[one] for one in (*known, index)], dim=1)
        told = memory_input(windows, heard[None].to(windows.device))
        answer, believed = self._network.voice(told)
        features = self._alone.features
        speech = features.speech[features.rows(index)]
        answer, believed = answer[0, -len(speech) :], believed[0, -len(speech) :]
        own = self._network.classifier(pooled[index][0])[:, : answer.shape[1]]
        self.logits.append(averaged(own, answer, believed).double().cpu().numpy())
        self.shares.append((SHARE * believed).double().cpu().numpy())
        window = self._network.config.window_timesteps
        self.weights.append(vote_weights(speech, 0, len(speech), window))
        self.targets.append(int(self._alone.labels[index]))

    def _told(self, index: int, how: float) -> Tensor:
        """Return what the memory is told of a recording, ``(timesteps,)`` or with levels."""
        features = self._alone.features
        rows = features.rows(index)
        heard = np.where(features.speech[rows] >= SPEECH_THRESHOLD, how, UNHEARD)
        if self._network.config.level:
            heard = np.stack([heard, features.levels[rows]], axis=-1)
        return torch.from_numpy(heard.astype(np.float32))


@torch.no_grad()
def add_voice_bias(network: Network, bias: Tensor) -> None:
    """Add a bias to a network's voice answer, in place."""
    assert network.voice is not None
    network.voice.differ.bias.add_(bias.to(network.voice.differ.bias))
