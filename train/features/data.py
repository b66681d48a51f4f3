"""Utterances -> cached spectra -> normalised features in memory."""

from __future__ import annotations

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import streamer.recognition.spectra
import streamer.recognition.voice_gate
import streamer.signal
import streamer.sound.resampler
from streamer.bundled import bundled
from streamer.errors import SerLiveError
from streamer.recognition.level import LevelState, levels_of
from streamer.recognition.normaliser import Normaliser
from streamer.recognition.spectra import LOWEST_BIN, SILENT_POWER, Spectra, SpectralAnalysis
from streamer.recognition.voice_gate import VOICE_GATE, SpeechDetector
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS, MANY_AT_ONCE, SPEECH_THRESHOLD
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance
from train.progress import tracked
from train.whole_file import whole_file
from train.workers import WorkerPool

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: Least share of the prior's power in a bin; bins below 80 Hz have no power.
LEAST_PRIOR = 1e-9
#: Most utterances per cache file, all of one speaker.
CHUNK = 64
#: Utterances normalised as one batch.
STREAMS = 16


@dataclass(frozen=True, slots=True)
class Example:
    """The input of one stream from start to end.

    Attributes:
        log_power: ``(timesteps, 4, 201)`` natural logarithm of the power, float16.
        speech: ``(timesteps,)`` speech probability, float32.
    """

    log_power: NDArray[np.float16]
    speech: Float32

    def spectra(self) -> Spectra:
        return Spectra(np.exp(self.log_power.astype(np.float32)), self.speech)

    def levels(self) -> Float32:
        """Return the level of the speech at every timestep, in dB."""
        return np.array(levels_of(self.spectra(), LevelState())[0], np.float32)


def analyse(samples: Float32, analysis: SpectralAnalysis) -> Spectra:
    """Compute the spectra of a whole recording."""
    first, state = analysis.accept(samples, analysis.initial_state(), MANY_AT_ONCE)
    last, _ = analysis.flush(state, MANY_AT_ONCE)
    return Spectra(
        np.concatenate([first.power, last.power]), np.concatenate([first.speech, last.speech])
    )


def example_of(samples: Float32, analysis: SpectralAnalysis) -> Example:
    """Make an example of a recording in its own stream."""
    spectra = analyse(samples, analysis)
    with np.errstate(divide="ignore"):  # digital silence gives -inf, and reads back as zero
        return Example(np.log(spectra.power).astype(np.float16), spectra.speech)


def _prepare(job: tuple[Path, Sequence[Path]]) -> None:
    """Prepare one speaker's recordings in a worker; the job has the file and their paths."""
    file, paths = job
    analysis = SpectralAnalysis(SpeechDetector())
    save_examples([example_of(read_recording(path), analysis) for path in paths], file)


def save_examples(examples: Sequence[Example], file: Path) -> None:
    """Write examples to one cache file."""
    with whole_file(file) as stream:
        np.savez(
            stream,
            log_power=np.concatenate([e.log_power for e in examples]),
            speech=np.concatenate([e.speech for e in examples]),
            ends=np.cumsum([len(e.speech) for e in examples]),
        )


def load_examples(file: Path) -> list[Example]:
    """Read examples written by :func:`save_examples`."""
    with np.load(file) as arrays:
        cuts = arrays["ends"][:-1]
        log_power, speech = (np.split(arrays[name], cuts) for name in ("log_power", "speech"))
    return [Example(*parts) for parts in zip(log_power, speech, strict=True)]


@cache
def front_end_sources() -> str:
    """Return a digest of the spectra's code and gate, so that stale caches are not reused."""
    modules = (
        streamer.signal,
        streamer.recognition.spectra,
        streamer.recognition.voice_gate,
        streamer.sound.resampler,
    )
    files = [Path(str(module.__file__)) for module in modules]
    code = source_digest(*(file.read_text(encoding="utf-8") for file in files))
    return code + _digest_of_gate(bundled(VOICE_GATE))


def _digest_of_gate(path: Path) -> str:
    """Return a digest of a voice gate without its metadata."""
    import onnx

    from model.silero import PROPERTIES

    gate = onnx.load(str(path))
    onnx.helper.set_model_props(gate, PROPERTIES)
    return hashlib.sha256(gate.SerializeToString()).hexdigest()


_OWN = ("streamer", "model", "train")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def source_digest(*sources: str) -> str:
    """Return a digest of code that ignores comments, docstrings, line breaks and our modules."""
    trees = [ast.parse(one) for one in sources]
    for tree in trees:
        for node in ast.walk(tree):
            # Our own modules may move; names and others' modules count.
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _OWN:
                node.module = ""
            if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
                del node.body[0]
    return hashlib.sha256("".join(map(ast.dump, trees)).encode()).hexdigest()


def _chunks(utterances: Sequence[Utterance]) -> list[list[int]]:
    """Group indices of utterances by speaker, so that most splits share cache files."""
    speakers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, utterance in enumerate(utterances):
        speakers[utterance.corpus, utterance.speaker].append(index)
    return [
        indices[first : first + CHUNK]
        for indices in speakers.values()
        for first in range(0, len(indices), CHUNK)
    ]


def prepare(utterances: Sequence[Utterance], cache_folder: Path) -> list[Example]:
    """Return the spectra of every utterance as recorded, cached or computed on all cores.

    Args:
        utterances: utterances to prepare, in order.
        cache_folder: folder for the spectra.
    """
    jobs: dict[Path, list[Path]] = {}
    chunks = _chunks(utterances)
    for chunk in chunks:
        paths = [utterances[index].path for index in chunk]
        jobs[cache_folder / f"{key_of(paths)}.npz"] = paths
    missing = [job for job in jobs.items() if not job[0].exists()]
    if missing:
        cache_folder.mkdir(parents=True, exist_ok=True)
        sizes = [len(chunk) for _, chunk in missing]
        with WorkerPool() as pool:
            for _ in tracked(pool.map(_prepare, missing), sizes, "recordings are analysed"):
                pass
    examples: dict[int, Example] = {}
    for chunk, file in zip(chunks, jobs, strict=True):
        examples.update(zip(chunk, load_examples(file), strict=True))
    return [examples[index] for index in range(len(utterances))]


def key_of(paths: Iterable[Path], *settings: object) -> str:
    """Return the cache key of recordings and settings."""
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    key = repr((files, settings, front_end_sources()))
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def estimate_prior(examples: Iterable[Example]) -> Float64:
    """Estimate the mean relative power spectrum of speech, ``(201,)``, with equal utterances."""
    total = np.zeros(FREQUENCY_BINS)
    for example in examples:
        spectra = example.spectra()
        power = spectra.power[spectra.speech >= SPEECH_THRESHOLD].sum(axis=(0, 1), dtype=float)
        if power.sum() > 0:
            total += power / power.sum()
    return usable_prior(total)


def usable_prior(total: Float64) -> Float64:
    """Scale a spectrum ``(201,)`` to sum 1 without zeros, as a normaliser needs.

    Raises:
        SerLiveError: it is zero, because there was no speech.
    """
    if not total.any():
        raise SerLiveError("the voice gate finds no speech in the recordings to train on")
    relative = total / total.sum()
    relative = np.maximum(relative, LEAST_PRIOR)
    return np.asarray(relative / relative.sum())


@dataclass(frozen=True)
class Features:
    """Normalised features of concatenated streams, the network's input.

    Attributes:
        values: ``(timesteps, 4, 201)`` float16.
        speech: ``(timesteps,)`` float32.
        levels: ``(timesteps,)`` float32, level of the speech in dB.
        ends: ``(streams,)`` end of each stream's timesteps.
    """

    values: NDArray[np.float16]
    speech: Float32
    levels: Float32
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """``(streams,)`` length in timesteps."""
        return np.diff(self.ends, prepend=0)

    def rows(self, index: int) -> slice:
        """Return the timesteps of a stream."""
        return slice(int(self.ends[index - 1]) if index else 0, int(self.ends[index]))

    @property
    def whole(self) -> NDArray[np.int64]:
        """One span per stream, ``(streams, 3)``, for ``votes_of``."""
        lengths = self.lengths
        return np.stack([np.arange(len(self)), np.zeros_like(lengths), lengths], axis=1)


def features_of(
    examples: Sequence[Example], normaliser: Normaliser, normalisation: str = "causal"
) -> Features:
    """Return the features of every example in its own stream.

    Args:
        examples: prepared examples.
        normaliser: the front end's normaliser.
        normalisation: "causal", by that normaliser; or "utterance", see :func:`standardise`.
    """
    return (
        standardise(examples) if normalisation == "utterance" else normalise(examples, normaliser)
    )


def standardise(examples: Sequence[Example]) -> Features:
    """Return the paper's features: an utterance's log spectrogram, z-normalised.

    One mean and one deviation cover all frames and the bins from 80 Hz up; bins below are zero. The
    paper does not specify the axes. The z-norm needs the whole utterance, so a network trained on
    it cannot follow a stream.
    """
    features = _laid_out(examples)
    for index, example in enumerate(examples):
        heard = example.log_power[..., LOWEST_BIN:].astype(np.float32)
        heard = np.maximum(heard, np.log(SILENT_POWER))  # digital silence
        values = features.values[features.rows(index)]
        values[..., :LOWEST_BIN] = 0.0
        values[..., LOWEST_BIN:] = (heard - heard.mean()) / max(heard.std(), 1e-6)
    return features


def _laid_out(examples: Sequence[Example]) -> Features:
    """Allocate features for examples; the values are not yet filled in."""
    ends = np.cumsum([len(example.speech) for example in examples])
    return Features(
        np.empty((int(ends[-1]), FRAMES_PER_TIMESTEP, FREQUENCY_BINS), np.float16),
        np.concatenate([example.speech for example in examples]),
        np.concatenate([example.levels() for example in examples]),
        ends,
    )


def normalise(examples: Sequence[Example], normaliser: Normaliser) -> Features:
    """Run every example through the runtime's normaliser as a stream of its own."""
    features = _laid_out(examples)
    lengths = features.lengths
    by_length = np.argsort(lengths, kind="stable")
    for first in range(0, len(by_length), STREAMS):
        group = by_length[first : first + STREAMS]
        spectra = [examples[index].spectra() for index in group]
        for index, values in zip(group, _normalise(spectra, normaliser), strict=True):
            features.values[features.rows(index)] = values[: lengths[index]]
    return features


def _normalise(spectra: Sequence[Spectra], normaliser: Normaliser) -> Float32:
    """Normalise a batch of streams padded with silence: ``(streams, timesteps, 4, 201)``.

    The normaliser is causal, so the padding changes nothing.
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
