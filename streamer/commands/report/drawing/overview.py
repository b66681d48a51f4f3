"""Divides a session into columns, few enough to draw at any length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.appearance import (
    GAP_CODE,
    SILENCE_CODE,
    STATE_CODES,
    UNCERTAIN_CODE,
    WARMING_UP_CODE,
)
from streamer.formats.reader import RecordedSession
from streamer.recognition.decision import STATES
from streamer.session.events import Gap
from streamer.signal import TIMESTEP_S

Float64 = NDArray[np.float64]

#: The number that fits a page.
MOST_COLUMNS = 400
_STATES_AND_LOSS = (UNCERTAIN_CODE, WARMING_UP_CODE, SILENCE_CODE, GAP_CODE)


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """The content of each stretch of a session.

    Attributes:
        edges_s: ``(columns + 1,)`` stream time of the columns' edges; all columns except the last
            have the same width.
        codes: possible codes of a stretch: emotions from 0, states, losses.
        shares: ``(columns, codes)`` share of a column's time; they sum to less than 1 where there
            is no estimate.
        probabilities: ``(columns, labels)`` means over timesteps with an emotion, NaN in columns
            without one.
        speech: ``(columns,)`` mean speech probability, NaN in columns without an estimate.
    """

    edges_s: Float64
    codes: tuple[int, ...]
    shares: Float64
    probabilities: Float64
    speech: Float64

    @property
    def column_s(self) -> float:
        """Time per column."""
        return float(self.edges_s[1] - self.edges_s[0])

    @property
    def total(self) -> Float64:
        """Shares ``(codes,)`` of the whole session's time."""
        widths = np.diff(self.edges_s)
        total: Float64 = widths @ self.shares / widths.sum()
        return total


def timesteps_per_column(duration_s: float, most_columns: int = MOST_COLUMNS) -> int:
    """Return the fewest timesteps per column for so much time in so many columns or fewer."""
    return max(1, int(np.ceil(duration_s / TIMESTEP_S / most_columns - 1e-9)))


def overview(session: RecordedSession, per_column: int | None = None) -> Overview:
    """Divide a session that has estimates into columns.

    Args:
        session: session to divide.
        per_column: timesteps per column; by default from :func:`timesteps_per_column`.
    """
    emotions = len(session.header.labels)
    duration_s = max(session.duration_s, TIMESTEP_S)
    edges_s = _edges(duration_s, per_column or timesteps_per_column(duration_s))
    columns = len(edges_s) - 1
    lost = _Lost(session.gaps, session.header.sample_rate)
    heard = 1.0 - lost.between(session.times - TIMESTEP_S, session.times) / TIMESTEP_S
    # By its middle, so that rounding of its end does not put a timestep into the next column.
    middles_s = session.times - TIMESTEP_S / 2
    column = np.clip(np.searchsorted(edges_s, middles_s, side="right") - 1, 0, columns - 1)

    def sums(values: Float64) -> Float64:
        return np.bincount(column, values, columns).astype(np.float64)

    codes = (*range(emotions), *_STATES_AND_LOSS)
    of_name = np.array([*range(emotions), *(STATE_CODES[state] for state in STATES)])
    was = of_name[session.codes]
    widths_s = np.diff(edges_s)
    lost_share = lost.between(edges_s[:-1], edges_s[1:]) / widths_s
    estimated = np.stack([sums(heard * (was == code)) for code in codes[:-1]], axis=1)
    estimated *= TIMESTEP_S / widths_s[:, None]
    # After a gap timesteps cross the edges of columns, and an extra one may fall into a column.
    room = (1.0 - lost_share) / np.maximum(estimated.sum(1), 1e-12)
    spoken = heard * ((was >= 0) | (was == UNCERTAIN_CODE))
    return Overview(
        edges_s=edges_s,
        codes=codes,
        shares=np.c_[estimated * np.minimum(room, 1.0)[:, None], lost_share],
        probabilities=np.stack(
            [_ratio(sums(spoken * one), sums(spoken)) for one in session.probabilities.T], axis=1
        ),
        speech=_ratio(sums(heard * session.speech), sums(heard)),
    )


def _edges(duration_s: float, per_column: int) -> Float64:
    """Return edges of columns of whole timesteps; the last column may be narrower."""
    columns = max(1, int(np.ceil(duration_s / TIMESTEP_S / per_column - 1e-9)))
    edges_s: Float64 = np.arange(columns + 1, dtype=np.float64) * (per_column * TIMESTEP_S)
    edges_s[-1] = duration_s
    return edges_s


def _ratio(sums: Float64, weights: Float64) -> Float64:
    """Return means, NaN where the weight is 0."""
    ratio: Float64 = np.full(len(sums), np.nan)
    np.divide(sums, weights, out=ratio, where=weights > 1e-9)
    return ratio


class _Lost:
    """Audio lost up to any moment; overlapping gaps count once."""

    def __init__(self, gaps: Sequence[Gap], sample_rate: int) -> None:
        starts_s = np.array([0.0, *(gap.time_s for gap in gaps)])
        lengths_s = np.array([0.0, *(gap.lost_samples / sample_rate for gap in gaps)])
        ends_s = np.maximum.accumulate(starts_s + lengths_s)
        starts_s[1:] = np.maximum(starts_s[1:], ends_s[:-1])
        so_far_s = np.cumsum(ends_s - starts_s)
        self._moments_s = np.stack([starts_s, ends_s], axis=1).ravel()
        self._lost_s = np.stack([so_far_s - (ends_s - starts_s), so_far_s], axis=1).ravel()

    def between(self, starts_s: Float64, ends_s: Float64) -> Float64:
        """Return the seconds lost from each start to its end."""
        before, after = (
            np.interp(moments_s, self._moments_s, self._lost_s) for moments_s in (starts_s, ends_s)
        )
        lost_s: Float64 = after - before
        return lost_s
