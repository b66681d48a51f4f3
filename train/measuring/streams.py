"""Streams with changes of emotion: how late the label follows and how much it flickers.

Utterances of one speaker are joined with pauses; neighbours differ in emotion. The change of
emotion is at the new utterance's first speech detected by the voice gate.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.decision import UNCERTAIN, label_changes
from streamer.recognition.metadata import ModelMetadata
from streamer.signal import SAMPLE_RATE, TIMESTEP_S, TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance
from train.corpora.own_recordings import UNKNOWN
from train.measuring.conditions import Condition, heard_in
from train.measuring.hearing import StreamResult, hear, hear_all, name_of, worker_recognizer

Float32 = NDArray[np.float32]

PAUSE_S = 0.3
UTTERANCES_A_STREAM = 8
STREAMS_A_SPEAKER = 4


def by_speaker(utterances: Sequence[Utterance]) -> list[tuple[str, list[Utterance]]]:
    """Return ``CORPUS/SPEAKER`` and the utterances of every known speaker, in order."""
    found: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        if utterance.speaker != UNKNOWN:
            found[utterance.corpus, utterance.speaker].append(utterance)
    return [(f"{corpus}/{speaker}", own) for (corpus, speaker), own in sorted(found.items())]


def plan_streams(utterances: Sequence[Utterance]) -> list[tuple[Utterance, ...]]:
    """Plan streams of every known speaker with at most 8 utterances, none used twice.

    The draw is seeded by the speaker's name, so other speakers do not change it.
    """
    streams = []
    for name, own in by_speaker(utterances):
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        row = _changing_row(own, STREAMS_A_SPEAKER * UTTERANCES_A_STREAM, generator)
        cut = [row[i : i + UTTERANCES_A_STREAM] for i in range(0, len(row), UTTERANCES_A_STREAM)]
        streams += [tuple(stream) for stream in cut if len(stream) > 1]
    return streams


def _changing_row(
    utterances: Sequence[Utterance], length: int, generator: np.random.Generator
) -> list[Utterance]:
    """Order utterances so that the emotion always changes, as many as possible."""
    left: dict[str, list[Utterance]] = defaultdict(list)
    for index in generator.permutation(len(utterances)):
        left[utterances[index].label].append(utterances[index])
    row: list[Utterance] = []
    while len(row) < length:
        others = [label for label in sorted(left) if not row or label != row[-1].label]
        counts = np.array([len(left[label]) for label in others], float)
        if not counts.sum():
            break
        row.append(left[generator.choice(others, p=counts / counts.sum())].pop())
    return row


def silence(samples: int) -> Float32:
    """Return digital silence."""
    return np.zeros(samples, np.float32)


def join(
    recordings: Sequence[Float32],
    pause_s: float = PAUSE_S,
    lead_s: float = 0.0,
    fill: Callable[[int], Float32] = silence,
) -> tuple[Float32, list[int]]:
    """Join recordings with pauses between them and a lead before the first.

    Args:
        recordings: ``(samples,)`` at 16 kHz each.
        pause_s: pause between two of them.
        lead_s: lead before the first.
        fill: makes the given number of samples for lead and pauses.

    Returns:
        samples, and the start index of each recording in them.
    """
    parts = [fill(round(lead_s * SAMPLE_RATE))]
    starts: list[int] = []
    for recording in recordings:
        parts += [fill(round(pause_s * SAMPLE_RATE))] if starts else []
        starts.append(sum(len(part) for part in parts))
        parts.append(recording)
    return np.concatenate(parts), starts


@dataclass(frozen=True)
class HeardStream:
    """A joined stream and the runtime's outputs on it.

    Attributes:
        emotions: emotion of each utterance.
        starts: first sample of each utterance.
        heard: outputs of one stream over all utterances.
    """

    emotions: tuple[str, ...]
    starts: tuple[int, ...]
    heard: StreamResult


def _hear_stream(
    utterances: tuple[Utterance, ...],
    model: Path,
    condition: Condition,
    noise_root: Path,
    pause_s: float,
) -> HeardStream:
    """Read, join and hear the recordings in a worker."""
    samples, starts = join([read_recording(one.path) for one in utterances], pause_s)
    samples = heard_in(condition, samples, name_of(utterances[0]), noise_root)
    heard = hear(worker_recognizer(model), samples)
    return HeardStream(tuple(one.label for one in utterances), tuple(starts), heard)


def hear_streams(
    pool: ProcessPoolExecutor,
    model: Path,
    utterances: Sequence[Utterance],
    condition: Condition,
    noise_root: Path,
    pause_s: float = PAUSE_S,
) -> list[HeardStream]:
    """Join the utterances to streams with this pause and hear them in a condition."""
    work = partial(
        _hear_stream, model=model, condition=condition, noise_root=noise_root, pause_s=pause_s
    )
    return list(hear_all(pool, work, plan_streams(utterances), f"{utterances[0].corpus}, streams"))


@dataclass(frozen=True)
class Following:
    """Delays and errors of labels after changes of emotion.

    Attributes:
        delays_s: delay per change, from the new utterance's first speech until a label names the
            new emotion, including look-ahead but not computation; infinite if none does before
            the next utterance starts.
        lengths_s: time per change, from the same moment until the next utterance starts.
        minutes: length of the streams.
        label_changes: changes counted by :func:`streamer.recognition.decision.label_changes`.
        false_changes: changes to an emotion other than the one spoken.
    """

    delays_s: tuple[float, ...]
    lengths_s: tuple[float, ...]
    minutes: float
    label_changes: int
    false_changes: int

    @property
    def median_delay_s(self) -> float:
        """Median delay of the detected changes; NaN if there are none."""
        detected = [delay for delay in self.delays_s if np.isfinite(delay)]
        return float(np.median(detected)) if detected else float("nan")

    @property
    def mean_wait_s(self) -> float:
        """Mean time without the right label after a change, up to the next utterance."""
        return float(np.mean(np.minimum(self.delays_s, self.lengths_s)))

    @property
    def never_detected(self) -> float:
        """Share of changes never detected, in %."""
        return 100.0 * float(np.mean(np.isinf(self.delays_s)))


def follow(
    streams: Sequence[HeardStream],
    metadata: ModelMetadata,
    labels: Sequence[tuple[str, ...]] | None = None,
) -> Following:
    """Measure how labels follow changes of emotion in streams.

    Args:
        streams: streams heard by the model.
        metadata: metadata of the model.
        labels: labels of every timestep of every stream; None takes those of the model's own
            decision layer.
    """
    delays_s: list[float] = []
    lengths_s: list[float] = []
    changed = false_changes = timesteps = 0
    given = [stream.heard.labels for stream in streams] if labels is None else labels
    for stream, shown in zip(streams, given, strict=True):
        spans = _spans(stream, metadata.decision.speech_on)
        spoken: list[str] = []
        for (first, onset, end), emotion in zip(spans, stream.emotions, strict=True):
            spoken += [emotion] * (end - first)
            if first:
                delays_s.append(_delay_s(shown[onset:end], emotion, metadata.look_ahead_ms))
                lengths_s.append((end - onset) * TIMESTEP_S)
        changes = label_changes(shown)
        changed += len(changes)
        false_changes += sum(shown[i] not in (UNCERTAIN, spoken[i]) for i in changes)
        timesteps += len(shown)
    minutes = timesteps * TIMESTEP_S / 60
    return Following(tuple(delays_s), tuple(lengths_s), minutes, changed, false_changes)


def _spans(stream: HeardStream, speech_on: float) -> list[tuple[int, int, int]]:
    """Return each utterance's first timestep, its first speech, and the next one's first."""
    firsts = [start // TIMESTEP_SAMPLES for start in stream.starts]
    spans = []
    for first, end in zip(firsts, [*firsts[1:], len(stream.heard.speech)], strict=True):
        is_speech = stream.heard.speech[first:end] >= speech_on
        onset = first + int(is_speech.argmax()) if is_speech.any() else first
        spans.append((first, onset, end))
    return spans


def _delay_s(labels: Sequence[str], emotion: str, look_ahead_ms: float) -> float:
    """Return the delay until the label is the emotion; infinite if it never is."""
    if emotion not in labels:
        return float("inf")
    return (labels.index(emotion) + 1) * TIMESTEP_S + look_ahead_ms / 1000.0
