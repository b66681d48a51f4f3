"""The voice memory of a stream: a slow, causal mean of the network's pooled features.

It is easier to hear how angry a person sounds if one knows how they usually sound. The memory
starts empty or from a profile; an estimate uses the memory before its own timestep. A separate
classifier answers by the distance to that mean, and its answer is averaged with the network's,
because the two are wrong on different recordings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.config import NetworkConfig
from model.contract import Layer, Moment, Newest, ReceptiveField
from model.layers import Dropout
from streamer.recognition.profile import ALL, NOTHING, ORDINARY

#: Time constant of forgetting, in timesteps of speech: a minute.
MEMORY_TIMESTEPS = 1500.0
#: Values of ``heard`` for a timestep, as in the runtime: take in nothing; take it in as far as it
#: sounds ordinary; take in all of it.
UNHEARD, HEARD, KNOWN = NOTHING, ORDINARY, ALL
#: Timesteps of speech after which the memory has half its full weight.
HALF_BELIEVED = 25.0
#: Share of the voice answer in the average once the voice is well known.
SHARE = 0.5


class VoiceMemory(Layer[Tensor]):
    """A mean of the pooled windows over speech, and a classifier on the distance to it.

    A learnt gate decides how much of a timestep is taken in: with all of it, a person who shouts
    for a minute would seem to shout always. Timesteps known to be ordinary speech of this voice,
    as in a profile, are taken in whole.
    """

    def __init__(self, config: NetworkConfig, pooled: int) -> None:
        super().__init__()
        self.pooled = pooled
        self.gate = nn.Linear(pooled, 1)
        self.differ = nn.Linear(pooled, len(config.labels))
        self.dropout = Dropout(config.dropout)

    @property
    def receptive_field(self) -> ReceptiveField:
        return ReceptiveField(None, 0)

    @property
    def asks(self) -> tuple[int, ...]:
        return (0,)

    def forward(self, x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Answer by the distance to the voice on whole streams.

        Args:
            x: pooled windows ``(batch, timesteps, pooled)``, and ``(batch, timesteps)`` of
                :data:`UNHEARD`, :data:`HEARD` or :data:`KNOWN`.

        Returns:
            logits ``(batch, timesteps, labels)``, and the memory's weight
            ``(batch, timesteps, 1)``, 0 to 1.
        """
        pooled, heard = x
        # Over a long stream the closed form needs the precision.
        state = self.initial_state(len(pooled)).to(pooled.device).double()
        taken = self._taken(pooled, heard)[..., None].double()
        return self._answers(pooled.float(), self._known(pooled, taken, state).float())

    def initial_state(self, batch: int) -> Tensor:
        """Return ``(batch, 1, pooled + 1)``: the mean, and the number of timesteps in it."""
        return torch.zeros(batch, 1, self.pooled + 1)

    def newest(
        self, x: tuple[Tensor, Tensor], moment: Moment, state: Tensor
    ) -> tuple[tuple[Tensor, Tensor], Newest[Tensor]]:
        """Take timesteps; return their answers and weights, as :meth:`forward` does.

        Args:
            x: as in :meth:`forward`.
            moment: timesteps outside the stream are not taken in.
            state: ``(batch, 1, pooled + 1)``.

        Returns:
            answers and weights, and the whole state.
        """
        pooled, heard = x
        known = self._known(pooled, self._taken(pooled, heard)[..., None] * moment.exists, state)
        return self._answers(pooled, known), Newest(known[:, -1:])

    def _known(self, pooled: Tensor, taken: Tensor, state: Tensor) -> Tensor:
        """Return the memory before each timestep and after the last.

        Args:
            pooled: ``(batch, timesteps, pooled)``.
            taken: ``(batch, timesteps, 1)``.
            state: the memory before them, which sets the precision.

        Returns:
            ``(batch, timesteps + 1, pooled + 1)``.
        """
        mean, count = torch.split(state, [self.pooled, 1], dim=2)
        # The decaying mean in closed form: each term decays by what is taken in after it.
        kept = torch.log1p(-taken / MEMORY_TIMESTEPS).cumsum(dim=1)
        weight, kept = taken * torch.exp(-kept), torch.exp(kept)
        counts = kept * (count + weight.cumsum(dim=1))
        totals = kept * (count * mean + (weight * pooled).cumsum(dim=1))
        means = totals / counts.clamp(min=1e-6)
        return torch.cat([state, torch.cat([means, counts], dim=2)], dim=1)

    def _answers(self, pooled: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Answer by the memory before each timestep, as :meth:`forward` does."""
        mean, count = torch.split(known[:, :-1], [self.pooled, 1], dim=2)
        return self._answer(pooled, mean), count / (count + HALF_BELIEVED)

    def _taken(self, pooled: Tensor, heard: Tensor) -> Tensor:
        """Return how much of each timestep is taken in, 0 to 1."""
        ordinary = torch.sigmoid(self.gate(pooled)).squeeze(-1)
        return (ordinary * heard.clamp(max=HEARD) + (heard - HEARD).clamp(min=0.0)).clamp(max=1.0)

    def _answer(self, pooled: Tensor, mean: Tensor) -> Tensor:
        answer: Tensor = self.differ(self.dropout(pooled - mean))
        return answer


def averaged(logits: Tensor, answer: Tensor, believed: Tensor) -> Tensor:
    """Average the network's logits with the voice answer, by how well the voice is known."""
    shared: Tensor = logits + SHARE * believed * (answer - logits)
    return shared
