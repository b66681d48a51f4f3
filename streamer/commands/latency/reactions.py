"""Measures the delay from a sound to its label: speech after a pause, a change of emotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streamer.commands.demo.parts import DEMO_PARTS, DEMO_S
from streamer.commands.latency.probe import Float64, Passage
from streamer.recognition.decision import SILENCE

#: A level counts as sound if it is this far above the quiet tenth of all blocks ...
ABOVE_QUIET_DB = 12.0
#: ... and at most this far below the loud twentieth, if the quiet tenth is digital silence.
BELOW_LOUD_DB = 30.0
#: Sound is so many blocks in a row above the level; it begins after a pause of so long without.
SOUND_BLOCKS = 3
PAUSE_S = 0.3
#: Speech without a label by then was not noticed.
NOTICED_WITHIN_S = 1.0


@dataclass(frozen=True)
class Reactions:
    """Delays from sounds to labels.

    Attributes:
        to_speech_ms: from the first sound after a pause to the first label that is not `silence`,
            if `silence` was the label before.
        to_emotion_ms: from the first sound of another emotion to the first label that names it.
        changes: number of changes, including those whose emotion was never named, but not those to
            an emotion that the label already named.
    """

    to_speech_ms: tuple[float, ...]
    to_emotion_ms: tuple[float, ...]
    changes: int


def sound_begins(begins_s: Float64, levels: Float64) -> list[float]:
    """Return the moments at which sound begins after a pause.

    Args:
        begins_s: ``(blocks,)`` starts of blocks of about 10 ms.
        levels: ``(blocks,)`` their RMS.
    """
    if not len(levels):
        return []
    level_db = 20.0 * np.log10(np.maximum(levels, 1e-10))
    quiet_db, loud_db = np.percentile(level_db, [10, 95])
    is_loud = level_db >= max(quiet_db + ABOVE_QUIET_DB, loud_db - BELOW_LOUD_DB)
    padded = np.pad(is_loud, (0, SOUND_BLOCKS - 1))
    runs = np.lib.stride_tricks.sliding_window_view(padded, SOUND_BLOCKS)
    sounding_s = begins_s[runs.all(axis=1)]
    # The audio before the first block is unknown.
    pauses_s = np.diff(sounding_s, prepend=begins_s[0])
    return [float(moment_s) for moment_s in sounding_s[pauses_s >= PAUSE_S]]


def demo_changes(duration_s: float) -> list[tuple[float, str]]:
    """Return the emotion changes, with the new emotions, in the demo repeated for so long."""
    times = range(int(duration_s / DEMO_S) + 2)  # the last part needs an end
    parts = [(begin_s + n * DEMO_S, emotion) for n in times for begin_s, emotion in DEMO_PARTS]
    return parts[1:]


def reactions(
    passage: Passage,
    sounds_s: Sequence[float],
    changes: Sequence[tuple[float, str]],
    *,
    since_s: float = 0.0,
) -> Reactions:
    """Compare known facts about the audio with the labels.

    Args:
        passage: all estimates of the stream.
        sounds_s: result of :func:`sound_begins`.
        changes: changes in ascending order, each with the new emotion; only those count that were
            heard until the next one.
        since_s: sounds before it do not count; labels before it show what changed.
    """
    heard_s = passage.time_s[-1] if len(passage.time_s) else 0.0
    speech = set(passage.labels) - {SILENCE}
    noticed = [
        _first_label_ms(passage, sound_s, sound_s + NOTICED_WITHIN_S, speech)
        for sound_s in sounds_s
        if sound_s >= since_s and _label_at(passage, sound_s) == SILENCE
    ]
    named = []
    for (begin_s, emotion), (end_s, _) in pairwise(changes):
        if end_s > heard_s:
            break
        first = [sound_s for sound_s in sounds_s if begin_s <= sound_s < end_s][:1]
        # Without a pause between the emotions, the change is where they were joined.
        sound_s = first[0] if first else begin_s
        if sound_s >= since_s and _label_at(passage, sound_s) != emotion:
            named.append(_first_label_ms(passage, sound_s, end_s, {emotion}))
    return Reactions(
        tuple(value for value in noticed if value is not None),
        tuple(value for value in named if value is not None),
        len(named),
    )


def _label_at(passage: Passage, sound_s: float) -> str | None:
    """Return the label of the last timestep that ends by a moment."""
    before = int(np.searchsorted(passage.time_s, sound_s, side="right")) - 1
    return None if before < 0 else passage.labels[before]


def _first_label_ms(
    passage: Passage, sound_s: float, end_s: float, wanted: set[str]
) -> float | None:
    """Return the delay from a sound to the first wanted label at or after it."""
    first = int(np.searchsorted(passage.time_s, sound_s, side="right"))
    last = int(np.searchsorted(passage.time_s, end_s))
    for index in range(first, last):
        if passage.labels[index] in wanted:
            behind_s = passage.time_s[index] - sound_s
            return float(passage.end_to_end_ms[index] + 1000.0 * behind_s)
    return None
