"""What the runtime makes of recordings, heard in worker processes; everything else follows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from streamer.modelfile.metadata import ModelMetadata
from streamer.recognition.decision import SILENCE, Decision, DecisionConfig, Verdict, vote
from streamer.recognition.estimate import Estimate
from streamer.recognition.prior import under_prior
from streamer.recognition.profile import Profile
from streamer.recognition.recognizer import Recognizer
from streamer.signal import SAMPLE_RATE, TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance
from train.judging.conditions import Condition, heard_in

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Job = TypeVar("Job")
Result = TypeVar("Result")

#: Jobs that a worker takes at a time.
CHUNK = 4


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What a stream made of a recording.

    Attributes:
        samples: length of the recording at 16 kHz.
        probabilities: ``(timesteps, labels)`` calibrated, float32.
        speech: ``(timesteps,)`` speech probability, float32.
        labels: of every timestep, by the decision layer.
        ordinary: ``(timesteps,)`` how likely speech is ordinary, float32; None of a model that
            does not tell.
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
    """Run a recording through a stream of its own, to its end.

    Args:
        recognizer: that hears.
        samples: ``(samples,)`` at 16 kHz.
        profile: what is known of the voice before.
        adapts: whether the stream gets to know the voice.
    """
    stream = recognizer.stream(profile, adapts)
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
    """What the stream would have made of it with another decision layer or another prior.

    The network knows of neither, so it need not hear the recording again.

    Args:
        heard: by a recognizer whose prior is balanced.
        metadata: of its model.
        config: of the decision layer; None for the model's own.
        shares: how often each label is met, as :attr:`ModelMetadata.everyday_prior`; none leaves
            the classes balanced.
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
    """Weight of each estimate in a verdict ``(timesteps,)``, as the runtime's ``Verdict`` has it.

    Zero without speech. The rolling window runs on from the stream's beginning, so of a part of a
    stream an estimate weighs what it weighs live, speech from before the part included.
    """
    is_speech = heard.speech >= metadata.decision.speech_on
    window = metadata.window_timesteps
    total = np.concatenate([np.zeros(window, np.int64), np.cumsum(is_speech)])
    return np.asarray(is_speech * vote(total[window:] - total[:-window]), np.int64)


@cache
def worker_recognizer(model: Path) -> Recognizer:
    """The recognizer of this worker process."""
    return Recognizer.load(model)


def name_of(utterance: Utterance) -> str:
    """The recording's name, whatever folder or format it lies in."""
    return f"{utterance.corpus}/{utterance.path.stem}"


def hear_utterance(
    utterance: Utterance, model: Path, conditions: Sequence[Condition], noise_root: Path
) -> list[StreamResult]:
    """Worker: read a recording once and hear it in each condition."""
    samples = read_recording(utterance.path)
    recognizer, name = worker_recognizer(model), name_of(utterance)
    return [hear(recognizer, heard_in(one, samples, name, noise_root)) for one in conditions]


def hear_all(
    pool: ProcessPoolExecutor, work: Callable[[Job], Result], jobs: Sequence[Job], title: str
) -> Iterator[Result]:
    """Results of the jobs in their order, with progress on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return iter(
        track(
            pool.map(work, jobs, chunksize=CHUNK),
            f"{title:20}",
            total=len(jobs),
            console=console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
    )


def hear_utterances(
    pool: ProcessPoolExecutor,
    model: Path,
    utterances: Sequence[Utterance],
    conditions: Sequence[Condition],
    noise_root: Path,
) -> dict[Condition, list[StreamResult]]:
    """By condition, what is made of each utterance."""
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
        probabilities: ``(recordings, labels)``, equal where there is no verdict.
        has_verdict: ``(recordings,)``, false where no speech was heard.
    """

    probabilities: Float64
    has_verdict: NDArray[np.bool_]


def verdicts_of(
    heard: Sequence[StreamResult], metadata: ModelMetadata, after_s: float | None = None
) -> Verdicts:
    """The runtime's verdicts: on whole recordings, or so many seconds after the first speech.

    By their probabilities: `overall` names what was shown, which differs in 1 % of recordings.

    Args:
        heard: the recordings.
        metadata: of the model that heard them.
        after_s: None for the whole.
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
    """Samples that came in until so long after the first timestep with speech began.

    May lie beyond the end; None where there is no speech.
    """
    is_speech = heard.speech >= metadata.decision.speech_on
    if not is_speech.any():
        return None
    return int(is_speech.argmax()) * TIMESTEP_SAMPLES + round(after_s * SAMPLE_RATE)


def estimates_known(heard: StreamResult, metadata: ModelMetadata, after_s: float) -> int:
    """Estimates that are out so many seconds after the first speech began.

    An estimate goes out once its look-ahead has come in. Where the recording has ended by then,
    the stream was flushed and all are out.
    """
    came_in = samples_heard(heard, metadata, after_s)
    if came_in is None or came_in >= heard.samples:
        return len(heard.speech)
    return max(0, (came_in - metadata.look_ahead_samples) // TIMESTEP_SAMPLES)
