"""A session's figures: the same in its sentence, the table and the bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streamer.appearance import SILENCE_CODE
from streamer.commands.latency.spread import Spread
from streamer.commands.report.drawing.overview import overview
from streamer.formats.lines import verdict_of
from streamer.formats.reader import RecordedSession
from streamer.recognition.decision import SILENCE
from streamer.signal import TIMESTEP_S

#: Pauses and doubts up to this length do not end a stretch of one emotion.
_BRIDGED_S = 3.0


@dataclass(frozen=True, slots=True)
class Facts:
    """Figures of a session.

    Attributes:
        duration_s: stream time.
        speech: share of the time with speech: its label is not `silence`.
        silence: share of the time with the label `silence`, without lost audio.
        shares: share of the speech, by label: the emotions, `uncertain` and `warming up`. They are
            the same as in the command's line for people. All are 0 without speech.
        verdict: verdict on the whole session, worded as in that line; None if the session was cut
            short.
        gaps: number of gaps.
        lost_s: audio lost in the gaps, in seconds.
        marks: number of the user's marks.
        latency: latency of the estimates; None if no clock applied.
    """

    duration_s: float
    speech: float
    silence: float
    shares: dict[str, float]
    verdict: str | None
    gaps: int
    lost_s: float
    marks: int
    latency: Spread | None


def facts_of(session: RecordedSession) -> Facts:
    """Sum up a session that has estimates."""
    duration_s = max(session.duration_s, TIMESTEP_S)
    counts = dict(
        zip(session.names, np.bincount(session.codes, minlength=len(session.names)), strict=True)
    )
    spoken = {name: int(count) for name, count in counts.items() if name != SILENCE}
    total = sum(spoken.values())
    seen = overview(session)
    known_ms = session.latency_ms[~np.isnan(session.latency_ms)]
    return Facts(
        duration_s=duration_s,
        speech=min(1.0, total * TIMESTEP_S / duration_s),
        silence=float(seen.total[seen.codes.index(SILENCE_CODE)]),
        shares={name: count / max(total, 1) for name, count in spoken.items()},
        verdict=None if session.end is None else verdict_of(session.end),
        gaps=len(session.gaps),
        lost_s=sum(gap.lost_samples for gap in session.gaps) / session.header.sample_rate,
        marks=len(session.marks),
        latency=Spread.of(known_ms) if len(known_ms) else None,
    )


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of one emotion, ignoring pauses and doubts, between two moments in seconds."""

    label: str
    start_s: float
    end_s: float


def longest_stretch(session: RecordedSession, besides: Sequence[str] = ()) -> Stretch | None:
    """Return the longest stretch of an emotion; None if there is none.

    Args:
        session: session to search.
        besides: emotions to ignore. They still end the stretches of others.
    """
    labels = session.header.labels
    emotional = np.flatnonzero(session.codes < len(labels))
    if not len(emotional):
        return None
    codes, ends_s = session.codes[emotional], session.times[emotional]
    pause_s = np.diff(ends_s) - TIMESTEP_S
    breaks = np.flatnonzero((np.diff(codes) != 0) | (pause_s > _BRIDGED_S)) + 1
    bounds = [0, *breaks.tolist(), len(codes)]
    stretches = [
        Stretch(
            labels[codes[first]], max(0.0, ends_s[first] - TIMESTEP_S), float(ends_s[after - 1])
        )
        for first, after in pairwise(bounds)
    ]
    wanted = [one for one in stretches if one.label not in besides]
    return max(wanted, key=lambda one: one.end_s - one.start_s, default=None)
