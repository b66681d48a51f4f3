"""Run recordings through the runtime in worker processes; all evaluation builds on this."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.decision import SILENCE, Decision, DecisionConfig, Verdict, vote
from streamer.recognition.estimate import Estimate
from streamer.recognition.metadata import ModelMetadata
from streamer.recognition.prior import under_prior
from streamer.recognition.profile import Profile
from streamer.recognition.recognizer import Recognizer
from streamer.signal import MANY_AT_ONCE, SAMPLE_RATE, TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance
from train.measuring.conditions import Condition, heard_in
from train.progress import tracked

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Job = TypeVar("Job")
Result = TypeVar("Result")

#: Jobs that a worker takes at a time.
CHUNK = 4


@dataclass(frozen=True, slots=True)
class StreamResult:
    """A stream's outputs on a recording.

    Attributes:
        samples: length of the recording at 16 kHz.
        probabilities: ``(timesteps, labels)``, calibrated, float32.
        speech: ``(timesteps,)`` speech probability, float32.
        labels: the decision layer's label of every timestep.
        ordinary: ``(timesteps,)`` probability of ordinary speech, float32; None if the model has
            no such output.
    """

    samples: int
    probabilities: NDArray[np.floating]
    speech: Float32
    labels: tuple[str, ...]
    ordinary: Float32 | None = None


def hear(
    recognizer: Recognizer,
    samples: Float32,
    profile: Profile | None = None,
    adapts: bool = True,
) -> StreamResult:
    """Run a recording through its own stream to the end.

    Args:
        recognizer: makes the stream.
        samples: ``(samples,)`` at 16 kHz.
        profile: profile of the voice, if known.
        adapts: whether the stream adapts to the voice.
    """
    stream = recognizer.stream(profile, adapts, MANY_AT_ONCE)
    estimates = stream.accept(samples) + stream.flush()
    shape = (len(estimates), len(recognizer.metadata.labels))
    return StreamResult(
        len(samples),
        np.array([one.probabilities for one in estimates], np.float32).reshape(shape),
        np.array([one.speech for one in estimates], np.float32),
        tuple(one.label for one in estimates),
        _ordinary_of(estimates) if recognizer.metadata.tells_ordinary else None,
    )


def _ordinary_of(estimates: Sequence[Estimate]) -> Float32:
    return np.array([one.ordinary for one in estimates], np.float32)


def decide_again(
    heard: StreamResult,
    metadata: ModelMetadata,
    config: DecisionConfig | None = None,
    shares: Sequence[float] = (),
) -> StreamResult:
    """Return the stream's outputs under another decision layer or another prior.

    The network depends on neither, so it does not run again.

    Args:
        heard: outputs of a recognizer with a balanced prior.
        metadata: metadata of its model.
        config: config of the decision layer; None for the model's own.
        shares: prior of each label, as in :attr:`ModelMetadata.everyday_prior`; empty leaves the
            classes balanced.
    """
    probabilities = heard.probabilities
    if len(shares):
        balanced = probabilities.astype(np.float32)
        ordinary = None if heard.ordinary is None else heard.ordinary[:, None]
        met = np.asarray(shares, np.float64)
        probabilities = under_prior(balanced, met, ordinary, metadata.ordinary_share)
    decision = Decision(metadata.labels, metadata.window_timesteps, config or metadata.decision)
    state, labels = decision.initial_state(), []
    for row, speech in zip(probabilities, heard.speech, strict=True):
        label, state = decision.decide(row, float(speech), state)
        labels.append(label)
    return replace(heard, probabilities=probabilities, labels=tuple(labels))


def votes_of(heard: StreamResult, metadata: ModelMetadata) -> Int64:
    """Return each estimate's weight in a verdict, ``(timesteps,)``, like the runtime's ``Verdict``.

    It is zero without speech. The rolling window runs on from the stream's start, so in a part of a
    stream an estimate weighs the same as live, including speech from before the part.
    """
    is_speech = heard.speech >= metadata.decision.speech_on
    window = metadata.window_timesteps
    total = np.concatenate([np.zeros(window, np.int64), np.cumsum(is_speech)])
    return np.asarray(is_speech * vote(total[window:] - total[:-window]), np.int64)


@cache
def worker_recognizer(model: Path) -> Recognizer:
    """Return this worker process's recognizer."""
    return Recognizer.load(model)


def name_of(utterance: Utterance) -> str:
    """Return the recording's name, independent of folder and format."""
    return f"{utterance.corpus}/{utterance.path.stem}"


def hear_utterance(
    utterance: Utterance, model: Path, conditions: Sequence[Condition], noise_root: Path
) -> list[StreamResult]:
    """Read a recording once and hear it in each condition, in a worker."""
    samples = read_recording(utterance.path)
    recognizer, name = worker_recognizer(model), name_of(utterance)
    return [hear(recognizer, heard_in(one, samples, name, noise_root)) for one in conditions]


def hear_all(
    pool: Executor, work: Callable[[Job], Result], jobs: Sequence[Job], title: str
) -> Iterator[Result]:
    """Yield the jobs' results in order, and tell on stderr how far they are."""
    results = pool.map(work, jobs, chunksize=CHUNK)
    return tracked(results, [1] * len(jobs), f"are heard: {title}")


def hear_utterances(
    pool: Executor,
    model: Path,
    utterances: Sequence[Utterance],
    conditions: Sequence[Condition],
    noise_root: Path,
) -> dict[Condition, list[StreamResult]]:
    """Hear each utterance in each condition; return the outputs by condition."""
    work = partial(hear_utterance, model=model, conditions=conditions, noise_root=noise_root)
    heard = list(hear_all(pool, work, utterances, utterances[0].corpus))
    return {
        condition: [by_condition[index] for by_condition in heard]
        for index, condition in enumerate(conditions)
    }


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on recordings.

    Attributes:
        probabilities: ``(recordings, labels)``, uniform without a verdict.
        has_verdict: ``(recordings,)``, false if no speech was heard.
    """

    probabilities: Float64
    has_verdict: NDArray[np.bool_]


def verdicts_of(
    heard: Sequence[StreamResult], metadata: ModelMetadata, after_s: float | None = None
) -> Verdicts:
    """Return the runtime's verdicts on whole recordings, or at a time after the first speech.

    They follow the probabilities; `overall` names the label shown, which differs in 1 % of cases.

    Args:
        heard: outputs on the recordings.
        metadata: metadata of the model.
        after_s: seconds after the first speech; None for the whole recording.
    """
    found = []
    for one in heard:
        verdict = Verdict(metadata.labels, metadata.window_timesteps, metadata.decision.speech_on)
        known = len(one.speech) if after_s is None else estimates_known(one, metadata, after_s)
        for probabilities, speech in zip(
            one.probabilities[:known], one.speech[:known], strict=True
        ):
            verdict.add(probabilities, float(speech))
        found.append(verdict)
    return Verdicts(
        np.stack([verdict.probabilities for verdict in found]),
        np.array([verdict.overall != SILENCE for verdict in found]),
    )


def samples_heard(heard: StreamResult, metadata: ModelMetadata, after_s: float) -> int | None:
    """Count the samples up to ``after_s`` past the start of the first timestep with speech.

    The count may exceed the length; it is None without speech.
    """
    is_speech = heard.speech >= metadata.decision.speech_on
    if not is_speech.any():
        return None
    return int(is_speech.argmax()) * TIMESTEP_SAMPLES + round(after_s * SAMPLE_RATE)


def estimates_known(heard: StreamResult, metadata: ModelMetadata, after_s: float) -> int:
    """Count the estimates that are out ``after_s`` past the start of the first speech.

    An estimate is out once its look-ahead has come in. If the recording has ended by then, the
    stream was flushed and all are out.
    """
    came_in = samples_heard(heard, metadata, after_s)
    if came_in is None or came_in >= heard.samples:
        return len(heard.speech)
    return max(0, (came_in - metadata.look_ahead_samples) // TIMESTEP_SAMPLES)
