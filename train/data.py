"""Utterances -> spectra in a cache -> normalised features in memory."""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import streamer.frontend
import streamer.resampler
import streamer.speech
import train.augment
from streamer.audio import read_recording
from streamer.frontend import (
    FRAMES_PER_TIMESTEP,
    FREQUENCY_BINS,
    TIMESTEP_SAMPLES,
    Normaliser,
    Spectra,
    SpectralAnalysis,
)
from streamer.speech import SPEECH_THRESHOLD, SpeechDetector
from train.augment import Augmentation, augment, load_noises, load_rooms
from train.corpora import Utterance
from train.progress import progress_bar
from train.whole import whole_file
from train.workers import worker_pool

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: Longest stretch kept of what comes before an utterance, in timesteps.
MAX_BEFORE = 40
#: Most utterances of a speaker that are prepared together, into one file of the cache.
CHUNK = 64
#: Utterances that are normalised side by side.
STREAMS = 32


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance as one stream hears it.

    Attributes:
        log_power: ``(timesteps, 4, 201)`` natural logarithm of the power, float16.
        speech: ``(timesteps,)`` speech probability, float32.
        start: timestep at which the utterance starts; what comes before is silence, noise or
            another utterance.
    """

    log_power: NDArray[np.float16]
    speech: Float32
    start: int

    def spectra(self) -> Spectra:
        return Spectra(np.exp(self.log_power.astype(np.float32)), self.speech)


def analyse(samples: Float32, analysis: SpectralAnalysis) -> Spectra:
    """Spectra of a whole recording."""
    first, state = analysis.accept(samples, analysis.initial_state())
    last, _ = analysis.flush(state)
    return Spectra(
        np.concatenate([first.power, last.power]), np.concatenate([first.speech, last.speech])
    )


def _example(samples: Float32, start_sample: int, analysis: SpectralAnalysis) -> Example:
    spectra = analyse(samples, analysis)
    with np.errstate(divide="ignore"):  # digital silence is minus infinity, and comes back as zero
        logs = np.log(spectra.power).astype(np.float16)
    start = min(start_sample // TIMESTEP_SAMPLES, len(logs))
    return Example(logs, spectra.speech, start)


def _prepare(
    job: tuple[Path, Sequence[Path]],
    augmentation: Augmentation | None,
    noise_root: Path,
    seed: int,
) -> None:
    """Worker: file to write, and recordings of one speaker."""
    file, paths = job
    analysis = SpectralAnalysis(SpeechDetector())
    if augmentation is None:
        _save([_example(read_recording(path), 0, analysis) for path in paths], file)
        return
    noises, rooms = load_noises(noise_root, "train"), load_rooms(noise_root)
    examples = []
    for path in paths:
        generator = np.random.default_rng([seed, zlib.crc32(path.stem.encode())])
        before = None
        if generator.random() < augmentation.previous:
            before = read_recording(paths[generator.integers(len(paths))])
        samples, start = augment(
            read_recording(path), before, augmentation, noises, rooms, generator
        )
        examples.append(_example(samples, start, analysis))
    _save(examples, file)


def _save(examples: Sequence[Example], file: Path) -> None:
    with whole_file(file) as stream:
        np.savez(
            stream,
            log_power=np.concatenate([e.log_power for e in examples]),
            speech=np.concatenate([e.speech for e in examples]),
            ends=np.cumsum([len(e.speech) for e in examples]),
            starts=np.array([e.start for e in examples]),
        )


def _load(file: Path) -> list[Example]:
    with np.load(file) as arrays:
        cuts = arrays["ends"][:-1]
        log_power, speech = (np.split(arrays[name], cuts) for name in ("log_power", "speech"))
        starts = arrays["starts"].tolist()
    return [Example(*parts) for parts in zip(log_power, speech, starts, strict=True)]


@cache
def _front_end_sources() -> str:
    """Digest of the code that makes the spectra: a copy made by older code is not used again."""
    modules = (streamer.frontend, streamer.speech, streamer.resampler, train.augment)
    text = b"".join(Path(str(module.__file__)).read_bytes() for module in modules)
    return hashlib.sha256(text).hexdigest()


def _chunks(utterances: Sequence[Utterance]) -> list[list[int]]:
    """Indices of utterances of one speaker each, so that most splits share what is prepared."""
    speakers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, utterance in enumerate(utterances):
        speakers[utterance.corpus, utterance.speaker].append(index)
    return [
        indices[first : first + CHUNK]
        for indices in speakers.values()
        for first in range(0, len(indices), CHUNK)
    ]


def prepare_copy(
    utterances: Sequence[Utterance],
    cache_folder: Path,
    noise_root: Path,
    augmentation: Augmentation | None = None,
    seed: int = 0,
) -> list[Example]:
    """Spectra of every utterance, from the cache or computed now on all cores.

    Args:
        utterances: what to prepare, in this order.
        cache_folder: of prepared copies.
        noise_root: folder of background recordings and impulse responses.
        augmentation: ranges of an augmented copy; None for the recordings as they are.
        seed: which augmented copy; the same seed gives the same copy.
    """
    augmentation = augmentation and augmentation.of_waveforms()
    jobs: dict[Path, list[Path]] = {}
    chunks = _chunks(utterances)
    for chunk in chunks:
        paths = [utterances[index].path for index in chunk]
        files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
        key = repr((files, augmentation, seed, str(noise_root), _front_end_sources()))
        jobs[cache_folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"] = paths
    missing = [job for job in jobs.items() if not job[0].exists()]
    if missing:
        cache_folder.mkdir(parents=True, exist_ok=True)
        work = partial(_prepare, augmentation=augmentation, noise_root=noise_root, seed=seed)
        with worker_pool() as pool, progress_bar() as bar:
            for _ in bar.track(pool.map(work, missing), len(missing), description="prepare"):
                pass
    examples: dict[int, Example] = {}
    for chunk, file in zip(chunks, jobs, strict=True):
        examples.update(zip(chunk, _load(file), strict=True))
    return [examples[index] for index in range(len(utterances))]


def estimate_prior(examples: Iterable[Example]) -> Float64:
    """Mean relative power spectrum of speech ``(201,)``, sums to 1; utterances count alike."""
    total = np.zeros(FREQUENCY_BINS)
    for example in examples:
        spectra = example.spectra()
        power = spectra.power[spectra.speech >= SPEECH_THRESHOLD].sum(axis=(0, 1), dtype=float)
        if power.sum() > 0:
            total += power / power.sum()
    return total / total.sum()


@dataclass(frozen=True)
class Features:
    """Normalised features of utterances, one after the other, as the network meets them.

    Attributes:
        values: ``(timesteps, 4, 201)`` float16.
        speech: ``(timesteps,)`` float32.
        ends: ``(utterances,)`` where each utterance's timesteps end.
        starts: ``(utterances,)`` timesteps before the utterance's own speech.
    """

    values: NDArray[np.float16]
    speech: Float32
    ends: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """``(utterances,)`` timesteps."""
        return np.diff(self.ends, prepend=0)

    def rows(self, index: int) -> slice:
        """Timesteps of an utterance."""
        return slice(int(self.ends[index - 1]) if index else 0, int(self.ends[index]))


def normalise_copy(examples: Sequence[Example], normaliser: Normaliser) -> Features:
    """Run every utterance through the runtime's normaliser as a stream of its own."""
    lengths = np.array([len(example.speech) for example in examples])
    starts = np.array([example.start for example in examples])
    cuts = np.maximum(0, starts - MAX_BEFORE)
    ends = np.cumsum(lengths - cuts)
    features = Features(
        np.empty((int(ends[-1]), FRAMES_PER_TIMESTEP, FREQUENCY_BINS), np.float16),
        np.empty(int(ends[-1]), np.float32),
        ends,
        starts - cuts,
    )
    by_length = np.argsort(lengths, kind="stable")
    for first in range(0, len(by_length), STREAMS):
        group = by_length[first : first + STREAMS]
        spectra = [examples[index].spectra() for index in group]
        for index, one, values in zip(group, spectra, _normalise(spectra, normaliser), strict=True):
            features.values[features.rows(index)] = values[cuts[index] : lengths[index]]
            features.speech[features.rows(index)] = one.speech[cuts[index] :]
    return features


def _normalise(spectra: Sequence[Spectra], normaliser: Normaliser) -> Float32:
    """Streams side by side, the shorter ones followed by silence: ``(streams, timesteps, 4, 201)``.

    Nothing looks ahead, so what follows changes nothing.
    """
    longest = max(len(one.speech) for one in spectra)
    power = np.zeros((len(spectra), longest, *spectra[0].power.shape[1:]), np.float32)
    speech = np.zeros((len(spectra), longest), np.float32)
    for index, one in enumerate(spectra):
        power[index, : len(one.speech)] = one.power
        speech[index, : len(one.speech)] = one.speech
    state = normaliser.initial_state((len(spectra),))
    values, _ = normaliser.normalise(Spectra(power, speech), state)
    return values
