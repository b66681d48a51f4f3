"""What a stream knows of its voice: a slow, causal mean of what the network hears in it.

How angry somebody sounds is told better by one who knows how that person sounds otherwise. The
memory begins empty, or with a profile; an estimate sees it as it was before its own timestep. A
classifier of its own answers by the distance to that mean, and its answer is averaged with the
network's: of the same recordings the two are wrong about different ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.config import NetworkConfig
from model.contract import Layer, Moment, Newest, ReceptiveField
from model.layers import Dropout
from streamer.recognition.profile import ALL, NOTHING, ORDINARY

#: Timesteps of speech within which it forgets: a minute.
MEMORY_TIMESTEPS = 1500.0
#: What ``heard`` says of a timestep, as the runtime has it: not to be taken in; as far as it sounds
#: ordinary; all of it.
UNHEARD, HEARD, KNOWN = NOTHING, ORDINARY, ALL
#: Timesteps of speech at which the memory is half believed.
HALF_BELIEVED = 25.0
#: Share that an answer by the distance to a well-known voice has in the mean of both.
SHARE = 0.5


class VoiceMemory(Layer[Tensor]):
    """A mean of what the windows held at timesteps of speech, and an answer by the distance to it.

    How much of a timestep is taken in is learnt: were it all, somebody who shouts for a minute
    would be taken for one who always does. Timesteps that are known to be ordinary speech of this
    voice, as a profile is made of, are taken in whole.
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
        """Answers by the distance to the voice, of whole streams.

        Args:
            x: ``(batch, timesteps, pooled)`` what the windows hold, and ``(batch, timesteps)``
                :data:`UNHEARD`, :data:`HEARD` or :data:`KNOWN`.

        Returns:
            logits ``(batch, timesteps, labels)``, and how much the memory is believed,
            ``(batch, timesteps, 1)``, 0 to 1.
        """
        pooled, heard = x
        pooled = pooled.float()
        taken = self._taken(pooled, heard).double()
        # A forgetting mean in one piece: each term is forgotten by what is taken in after it.
        kept = torch.log1p(-taken / MEMORY_TIMESTEPS).cumsum(dim=1)
        weight = taken * torch.exp(-kept)
        total = (weight[..., None] * pooled).cumsum(dim=1) * torch.exp(kept)[..., None]
        count = weight.cumsum(dim=1) * torch.exp(kept)
        mean = total / count.clamp(min=1e-6)[..., None]
        # An estimate sees what was there before it.
        mean, count = (
            functional.pad(one, (0, 0, 1, -1)).float() for one in (mean, count[..., None])
        )
        return self._answer(pooled, mean), count / (count + HALF_BELIEVED)

    def initial_state(self, batch: int) -> Tensor:
        """``(batch, 1, pooled + 1)``: the mean, and the timesteps in it."""
        return torch.zeros(batch, 1, self.pooled + 1)

    def newest(
        self, x: tuple[Tensor, Tensor], moment: Moment, state: Tensor
    ) -> tuple[tuple[Tensor, Tensor], Newest[Tensor]]:
        """One timestep in; its answer ``(batch, labels)`` and belief ``(batch, 1)``.

        Args:
            x: ``(batch, pooled)`` and ``(batch,)``.
            moment: of a timestep beside the stream nothing is taken in.
            state: ``(batch, 1, pooled + 1)``.

        Returns:
            answer and belief, and all of the state.
        """
        pooled, heard = x
        mean, count = torch.split(state[:, 0], [self.pooled, 1], dim=1)
        answer, believed = self._answer(pooled, mean), count / (count + HALF_BELIEVED)
        taken = self._taken(pooled, heard)[:, None] * moment.exists
        after = count * (1.0 - taken / MEMORY_TIMESTEPS) + taken
        mean = mean + taken / after.clamp(min=1e-6) * (pooled - mean)
        return (answer, believed), Newest(torch.cat([mean, after], dim=1)[:, None])

    def _taken(self, pooled: Tensor, heard: Tensor) -> Tensor:
        """How much of each timestep is taken in, 0 to 1."""
        ordinary = torch.sigmoid(self.gate(pooled)).squeeze(-1)
        return (ordinary * heard.clamp(max=HEARD) + (heard - HEARD).clamp(min=0.0)).clamp(max=1.0)

    def _answer(self, pooled: Tensor, mean: Tensor) -> Tensor:
        answer: Tensor = self.differ(self.dropout(pooled - mean))
        return answer


def averaged(logits: Tensor, answer: Tensor, believed: Tensor) -> Tensor:
    """The network's logits with the answer of one who knows the voice so well."""
    shared: Tensor = logits + SHARE * believed * (answer - logits)
    return shared
