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


class VoiceMemory(nn.Module):
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

    def forward(self, pooled: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """Answers by the distance to the voice, of whole streams.

        Args:
            pooled: ``(batch, timesteps, pooled)`` what the windows hold.
            heard: ``(batch, timesteps)`` :data:`UNHEARD`, :data:`HEARD` or :data:`KNOWN`.

        Returns:
            logits ``(batch, timesteps, labels)``, and how much the memory is believed,
            ``(batch, timesteps, 1)``, 0 to 1.
        """
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

    def streaming_forward(
        self, pooled: Tensor, heard: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One timestep in; its answer ``(batch, labels)`` and belief ``(batch, 1)``, the new state.

        Args:
            pooled: ``(batch, pooled)``.
            heard: ``(batch,)``.
            state: ``(batch, 1, pooled + 1)``.
        """
        mean, count = torch.split(state[:, 0], [self.pooled, 1], dim=1)
        answer, believed = self._answer(pooled, mean), count / (count + HALF_BELIEVED)
        taken = self._taken(pooled, heard)[:, None]
        after = count * (1.0 - taken / MEMORY_TIMESTEPS) + taken
        mean = mean + taken / after.clamp(min=1e-6) * (pooled - mean)
        return answer, believed, torch.cat([mean, after], dim=1)[:, None]

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
