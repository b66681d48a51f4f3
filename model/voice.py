"""The voice memory of a stream: a slow, causal mean of how its speech sounds, and how loud.

It is easier to hear how angry a person sounds if one knows how they usually sound, and how loud.
The memory starts empty or from a profile; an estimate uses the memory before its own timestep. A
separate classifier answers by the distance to that mean, and its answer is averaged with the
network's, because the two are wrong on different recordings.
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
SHARE = 0.75
#: Greatest difference of level that counts, in dB. A greater one often comes from another
#: microphone than the profile's, and must not decide alone.
MOST_DB = 10.0
#: Share of the answer by the level that is added to the one by the windows, which have heard some
#: of it: a raised voice sounds different, too.
LEVEL_SHARE = 0.5


class VoiceMemory(Layer[Tensor]):
    """A mean of the sound of speech, and a classifier on the distance to it.

    A timestep's sound is its pooled window and, for ``level``, the level of its speech in dB.
    A learnt gate decides how much of it is taken in: with all of it, a person who shouts for a
    minute would seem to shout always. Timesteps known to be ordinary speech of this voice, as in a
    profile, are taken in whole.
    """

    def __init__(self, config: NetworkConfig, pooled: int) -> None:
        super().__init__()
        self.pooled = pooled
        self.sound = pooled + config.level
        self.gate = nn.Linear(pooled, 1)
        self.differ = nn.Linear(pooled, len(config.labels))
        self.level_classifier = nn.Linear(2, len(config.labels)) if config.level else None
        if self.level_classifier is not None:
            nn.init.zeros_(self.level_classifier.weight)  # a level means nothing until it is learnt
            nn.init.zeros_(self.level_classifier.bias)
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
            x: sounds ``(batch, timesteps, sound)``, and ``(batch, timesteps)`` of
                :data:`UNHEARD`, :data:`HEARD` or :data:`KNOWN`.

        Returns:
            logits ``(batch, timesteps, labels)``, and the memory's weight
            ``(batch, timesteps, 1)``, 0 to 1.
        """
        answers, believed = self.separate_answers(x)
        return _added(answers), believed

    def separate_answers(self, x: tuple[Tensor, Tensor]) -> tuple[list[Tensor], Tensor]:
        """Answer as :meth:`forward` does, by the windows and by the level apart."""
        sound, heard = x
        # Over a long stream the closed form needs the precision.
        state = self.initial_state(len(sound)).to(sound.device).double()
        taken = self._taken(sound, heard)[..., None].double()
        known = self._known(sound, taken, state).float()
        return self._answers(sound.float(), known)

    def initial_state(self, batch: int) -> Tensor:
        """Return ``(batch, 1, sound + 1)``: the mean, and the number of timesteps in it."""
        return torch.zeros(batch, 1, self.sound + 1)

    def newest(
        self, x: tuple[Tensor, Tensor], moment: Moment, state: Tensor
    ) -> tuple[tuple[Tensor, Tensor], Newest[Tensor]]:
        """Take timesteps; return their answers and weights, as :meth:`forward` does.

        Args:
            x: as in :meth:`forward`.
            moment: timesteps outside the stream are not taken in.
            state: ``(batch, 1, sound + 1)``.

        Returns:
            answers and weights, and the whole state.
        """
        sound, heard = x
        known = self._known(sound, self._taken(sound, heard)[..., None] * moment.exists, state)
        answers, believed = self._answers(sound, known)
        return (_added(answers), believed), Newest(known[:, -1:])

    def _known(self, sound: Tensor, taken: Tensor, state: Tensor) -> Tensor:
        """Return the memory before each timestep and after the last.

        Args:
            sound: ``(batch, timesteps, sound)``.
            taken: ``(batch, timesteps, 1)``.
            state: the memory before them, which sets the precision.

        Returns:
            ``(batch, timesteps + 1, sound + 1)``.
        """
        mean, count = torch.split(state, [self.sound, 1], dim=2)
        # The decaying mean in closed form: each term decays by what is taken in after it.
        kept = torch.log1p(-taken / MEMORY_TIMESTEPS).cumsum(dim=1)
        weight, kept = taken * torch.exp(-kept), torch.exp(kept)
        counts = kept * (count + weight.cumsum(dim=1))
        totals = kept * (count * mean + (weight * sound).cumsum(dim=1))
        means = totals / counts.clamp(min=1e-30)
        return torch.cat([state, torch.cat([means, counts], dim=2)], dim=1)

    def _taken(self, sound: Tensor, heard: Tensor) -> Tensor:
        """Return how much of each timestep is taken in, 0 to 1.

        It does not depend on the level: a voice that has come closer is taken in all the same.
        """
        ordinary = torch.sigmoid(self.gate(sound[..., : self.pooled])).squeeze(-1)
        return (ordinary * heard.clamp(max=HEARD) + (heard - HEARD).clamp(min=0.0)).clamp(max=1.0)

    def _answers(self, sound: Tensor, known: Tensor) -> tuple[list[Tensor], Tensor]:
        """Answer by the memory before each timestep, as `separate_answers` does."""
        mean, count = torch.split(known[:, :-1], [self.sound, 1], dim=2)
        distance = sound - mean
        answers = [self.differ(self.dropout(distance[..., : self.pooled]))]
        if self.level_classifier is not None:
            level_db = distance[..., self.pooled :].clamp(-MOST_DB, MOST_DB)
            # Some emotions are neither loud nor quiet: hence the square, at 10 dB 1.
            by_level = torch.cat([level_db, (level_db / 10.0) ** 2], dim=-1)
            answers.append(self.level_classifier(by_level))
        return answers, count / (count + HALF_BELIEVED)


def _added(answers: list[Tensor]) -> Tensor:
    """Add the answer by the level, if there is one, to the one by the windows."""
    by_window, *by_level = answers
    return by_window + LEVEL_SHARE * by_level[0] if by_level else by_window


def memory_input(pooled: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
    """Return the input of a :class:`VoiceMemory`: sounds, and how they are heard.

    Args:
        pooled: pooled windows ``(batch, timesteps, pooled)``.
        heard: ``(batch, timesteps)`` of :data:`UNHEARD`, :data:`HEARD` or :data:`KNOWN`; for a
            memory with ``level`` ``(batch, timesteps, 2)``: that, and the level in dB.
    """
    if heard.ndim == 2:
        return pooled, heard
    heard, level = heard.unbind(dim=-1)
    return torch.cat([pooled, level[..., None]], dim=-1), heard


def averaged(logits: Tensor, answer: Tensor, believed: Tensor) -> Tensor:
    """Average the network's logits with the voice answer, by how well the voice is known."""
    shared: Tensor = logits + SHARE * believed * (answer - logits)
    return shared
