"""Utterances -> spectra in a cache -> normalised features in memory."""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import streamer.frontend
import streamer.resampler
import streamer.speech
import train.augment
from streamer.audio import read_recording
from streamer.frontend import (
    FREQUENCY_BINS,
    TIMESTEP_SAMPLES,
    Normaliser,
    Spectra,
    SpectralAnalysis,
)
from streamer.speech import SPEECH_THRESHOLD, SpeechDetector
from train.augment import Augmentation, augment, load_noises, load_rooms
from train.corpora import Utterance

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: Longest stretch kept of what comes before an utterance, in timesteps.
MAX_BEFORE = 40
#: Utterances that a worker takes at a time.
CHUNK = 64


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


def _example_chunk(
    jobs: Sequence[tuple[int, Path, Sequence[Path]]],
    augmentation: Augmentation | None,
    noise_root: Path,
    seed: int,
) -> list[Example]:
    """Worker: (index, path, recordings of the same speaker) -> examples."""
    analysis = SpectralAnalysis(SpeechDetector())
    if augmentation is None:
        return [_example(read_recording(path), 0, analysis) for _, path, _ in jobs]
    noises, rooms = load_noises(noise_root, "train"), load_rooms(noise_root)
    examples = []
    for index, path, siblings in jobs:
        generator = np.random.default_rng([seed, index])
        before = None
        if generator.random() < augmentation.previous:
            before = read_recording(siblings[generator.integers(len(siblings))])
        samples, start = augment(
            read_recording(path), before, augmentation, noises, rooms, generator
        )
        examples.append(_example(samples, start, analysis))
    return examples


@dataclass(frozen=True)
class Copy:
    """Spectra of many utterances, one after the other, as they lie in the cache.

    Attributes:
        log_power: ``(timesteps, 4, 201)`` float16.
        speech: ``(timesteps,)`` float32.
        ends: ``(utterances,)`` where each utterance's timesteps end.
        starts: ``(utterances,)`` timesteps before the utterance's own speech.
    """

    log_power: NDArray[np.float16]
    speech: Float32
    ends: NDArray[np.int64]
    starts: NDArray[np.int64]

    def spectra(self, index: int) -> Spectra:
        first = int(self.ends[index - 1]) if index else 0
        rows = slice(first, int(self.ends[index]))
        return Spectra(np.exp(self.log_power[rows].astype(np.float32)), self.speech[rows])


def _load(folder: Path) -> Copy:
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in Copy.__annotations__}
    return Copy(**arrays)


def _save(examples: Sequence[Example], folder: Path) -> None:
    """Write to a folder beside it and rename, so that a stop leaves no half-written copy."""
    partial_folder = folder.with_suffix(".partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir(parents=True)
    np.save(partial_folder / "log_power.npy", np.concatenate([e.log_power for e in examples]))
    np.save(partial_folder / "speech.npy", np.concatenate([e.speech for e in examples]))
    np.save(partial_folder / "ends.npy", np.cumsum([len(e.speech) for e in examples]))
    np.save(partial_folder / "starts.npy", np.array([e.start for e in examples]))
    partial_folder.rename(folder)


def _front_end_sources() -> str:
    """Digest of the code that makes the spectra: a copy made by older code is not used again."""
    modules = (streamer.frontend, streamer.speech, streamer.resampler, train.augment)
    text = b"".join(Path(str(module.__file__)).read_bytes() for module in modules)
    return hashlib.sha256(text).hexdigest()


def prepare_copy(
    utterances: Sequence[Utterance],
    cache: Path,
    noise_root: Path,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    workers: int = 2,
) -> Copy:
    """Spectra of every utterance, from the cache or computed now.

    Args:
        utterances: what to prepare, in this order.
        cache: folder of prepared copies.
        noise_root: folder of background recordings and impulse responses.
        augmentation: ranges of an augmented copy; None for the recordings as they are.
        seed: which augmented copy; the same seed gives the same copy.
        workers: processes.
    """
    files = [(str(u.path), u.path.stat().st_size, u.path.stat().st_mtime_ns) for u in utterances]
    key = repr((files, augmentation, seed, str(noise_root), _front_end_sources()))
    folder = cache / hashlib.sha256(key.encode()).hexdigest()[:16]
    if folder.exists():
        return _load(folder)
    siblings: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for utterance in utterances:
        siblings[utterance.corpus, utterance.speaker].append(utterance.path)
    jobs = [(i, u.path, siblings[u.corpus, u.speaker]) for i, u in enumerate(utterances)]
    chunks = [jobs[first : first + CHUNK] for first in range(0, len(jobs), CHUNK)]
    work = partial(_example_chunk, augmentation=augmentation, noise_root=noise_root, seed=seed)
    with ProcessPoolExecutor(workers) as pool:
        _save([example for chunk in pool.map(work, chunks) for example in chunk], folder)
    return _load(folder)


def estimate_prior(copies: Sequence[Copy]) -> Float64:
    """Mean relative power spectrum of speech ``(201,)``, sums to 1; utterances count alike."""
    total = np.zeros(FREQUENCY_BINS)
    for copy in copies:
        for index in range(len(copy.ends)):
            spectra = copy.spectra(index)
            power = spectra.power[spectra.speech >= SPEECH_THRESHOLD].sum(axis=(0, 1), dtype=float)
            if power.sum() > 0:
                total += power / power.sum()
    return total / total.sum()


@dataclass(frozen=True)
class Features:
    """Normalised features of utterances, as the network meets them.

    Attributes:
        values: per utterance ``(timesteps, 4, 201)`` float16.
        speech: per utterance ``(timesteps,)`` float32.
        starts: per utterance, timesteps before its own speech.
    """

    values: list[NDArray[np.float16]]
    speech: list[Float32]
    starts: list[int]


def normalise_copy(copy: Copy, normaliser: Normaliser) -> Features:
    """Run every utterance through the runtime's normaliser as a stream of its own."""
    features = Features([], [], [])
    for index in range(len(copy.ends)):
        spectra = copy.spectra(index)
        values, _ = normaliser.normalise(spectra, normaliser.initial_state())
        cut = max(0, int(copy.starts[index]) - MAX_BEFORE)
        features.values.append(values[cut:].astype(np.float16))
        features.speech.append(np.array(spectra.speech[cut:]))
        features.starts.append(int(copy.starts[index]) - cut)
    return features
