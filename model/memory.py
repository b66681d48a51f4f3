"""The pyramidal feedforward sequential memory (section 3.1, eq. (2) and (3))."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.config import BlockConfig, NetworkConfig
from model.contract import Layer, Moment, Newest, ReceptiveField
from model.layers import filter_features, normed_relu


@dataclass(frozen=True, slots=True)
class MemoryState:
    """Delay lines of one block.

    Attributes:
        projections: ``(batch, N1 s1 + N2 s2, memory)`` latest p, zero outside the stream.
        skip: ``(batch, N2 s2, memory)`` the previous block's memory, delayed like the memory it is
            added to.
    """

    projections: Tensor
    skip: Tensor


#: Passed from block to block: the hidden layer, and the previous block's memory, if any.
Hidden = tuple[Tensor, Tensor | None]


class MemoryBlock(Layer[MemoryState]):
    """p = V h + b;  memory = skip + p + sum a_i p[t - s1 i] + sum b_j p[t + s2 j];  h' = f(W m).

    The skip path is the identity of the previous block's memory (eq. (4)); the first block has
    none. f is ReLU after batch norm.
    """

    def __init__(self, config: NetworkConfig, block: BlockConfig) -> None:
        super().__init__()
        self.block = block
        self.width = config.memory
        self.project = nn.Linear(config.hidden, config.memory)
        taps = config.memory if config.taps == "vector" else 1
        self.look_back = nn.Parameter(torch.empty(block.look_back_order + 1, taps))
        self.look_ahead = nn.Parameter(torch.empty(block.look_ahead_order, taps))
        self.expand = nn.Linear(config.memory, config.hidden)
        self.norm: nn.Module = nn.BatchNorm1d(config.hidden)
        for coefficients in (self.look_back, self.look_ahead):
            nn.init.normal_(coefficients, std=0.1)

    @property
    def receptive_field(self) -> ReceptiveField:
        return ReceptiveField(self.block.look_back, self.block.look_ahead)

    @property
    def asks(self) -> tuple[int, ...]:
        return (0,)

    def forward(self, x: Hidden) -> tuple[Tensor, Tensor]:
        """Run whole utterances.

        Args:
            x: hidden layer ``(batch, timesteps, hidden)``, and the previous block's memory
                ``(batch, timesteps, memory)``.

        Returns:
            the next hidden layer ``(batch, timesteps, hidden)``, and the memory.
        """
        hidden, skip = x
        reach = (0, 0, self.block.look_back, self.block.look_ahead)
        padded = functional.pad(self.project(hidden), reach)
        memory = filter_features(padded, self._impulse_response())
        if skip is not None:
            memory = memory + skip
        return normed_relu(self.norm, self.expand(memory)), memory

    def initial_state(self, batch: int) -> MemoryState:
        reach = self.block.look_back + self.block.look_ahead
        return MemoryState(
            torch.zeros(batch, reach, self.width),
            torch.zeros(batch, self.block.look_ahead, self.width),
        )

    def newest(
        self, x: Hidden, moment: Moment, state: MemoryState
    ) -> tuple[tuple[Tensor, Tensor], Newest[MemoryState]]:
        """Take timesteps; return those N2 s2 before them.

        Args:
            x: as in :meth:`forward`.
            moment: moment of these timesteps.
            state: delay lines of the earlier timesteps.

        Returns:
            the next hidden layer and the memory of the earlier timesteps, and the newest rows of
            each delay line.
        """
        hidden, skip = x
        projections = self.project(hidden) * moment.exists
        timesteps = hidden.shape[1]
        memory = self._tapped(torch.cat([state.projections, projections], dim=1), timesteps)
        newest = state.skip
        if skip is not None and self.block.look_ahead:
            newest = skip
            skip = torch.cat([state.skip, skip], dim=1)[:, :timesteps]
        if skip is not None:
            memory = memory + skip
        next_hidden = normed_relu(self.norm, self.expand(memory))
        return (next_hidden, memory), Newest(MemoryState(projections, newest))

    def _tapped(self, rows: Tensor, timesteps: int) -> Tensor:
        """Sum the taps of eq. (2) for each of the latest timesteps.

        Args:
            rows: ``(batch, N1 s1 + N2 s2 + timesteps, memory)``, oldest first.
            timesteps: number of sums.

        Returns:
            ``(batch, timesteps, memory)``.
        """
        places, taps = self._taps()
        at = torch.arange(timesteps, device=rows.device)[:, None] + places
        heard = rows.index_select(1, at.flatten()).reshape(-1, timesteps, *taps.shape)
        memory: Tensor = (heard * taps).sum(dim=2)
        return memory

    def _taps(self) -> tuple[Tensor, Tensor]:
        """Return the taps' places in :meth:`_impulse_response`, and the taps ``(n, memory)``."""
        response = self._impulse_response()
        block = self.block
        back = torch.arange(0, block.look_back + 1, block.look_back_stride)
        ahead = torch.arange(1, block.look_ahead_order + 1) * block.look_ahead_stride
        places = torch.cat([back, block.look_back + ahead]).to(response.device)
        return places, response[places]

    def _impulse_response(self) -> Tensor:
        """Return the block as a filter over time, oldest first: ``(N1 s1 + 1 + N2 s2, memory)``."""
        back, ahead = self.block.look_back, self.block.look_ahead
        block, device = self.block, self.look_back.device
        response = torch.zeros(
            back + 1 + ahead, self.width, device=device, dtype=self.look_back.dtype
        )
        backwards = torch.arange(block.look_back_order + 1, device=device)
        forwards = torch.arange(1, block.look_ahead_order + 1, device=device)
        at_back = back - block.look_back_stride * backwards
        at_ahead = back + block.look_ahead_stride * forwards
        now = torch.tensor([back], device=device)
        response = response.index_add(0, at_back, self.look_back.expand(-1, self.width))
        response = response.index_add(0, at_ahead, self.look_ahead.expand(-1, self.width))
        return response.index_add(0, now, response.new_ones(1, self.width))
