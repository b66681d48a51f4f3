"""Utterances -> spectra in a cache -> normalised features in memory."""

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
from streamer.recognition.normaliser import Normaliser
from streamer.recognition.spectra import LOWEST_BIN, SILENT_POWER, Spectra, SpectralAnalysis
from streamer.recognition.voice_gate import VOICE_GATE, SpeechDetector
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS, SPEECH_THRESHOLD
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance
from train.progress import progress_bar
from train.whole_file import whole_file
from train.workers import worker_pool

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: Share of the power that the prior has at least in a bin; those below 80 Hz have none.
LEAST_PRIOR = 1e-9
#: Most utterances of a speaker that are prepared together, into one file of the cache.
CHUNK = 64
#: Utterances that are normalised side by side.
STREAMS = 16


@dataclass(frozen=True, slots=True)
class Example:
    """What one stream hears from its start to its end.

    Attributes:
        log_power: ``(timesteps, 4, 201)`` natural logarithm of the power, float16.
        speech: ``(timesteps,)`` speech probability, float32.
    """

    log_power: NDArray[np.float16]
    speech: Float32

    def spectra(self) -> Spectra:
        return Spectra(np.exp(self.log_power.astype(np.float32)), self.speech)


def analyse(samples: Float32, analysis: SpectralAnalysis) -> Spectra:
    """Spectra of a whole recording."""
    first, state = analysis.accept(samples, analysis.initial_state())
    last, _ = analysis.flush(state)
    return Spectra(
        np.concatenate([first.power, last.power]), np.concatenate([first.speech, last.speech])
    )


def example_of(samples: Float32, analysis: SpectralAnalysis) -> Example:
    """A recording in a stream of its own."""
    spectra = analyse(samples, analysis)
    with np.errstate(divide="ignore"):  # digital silence is minus infinity, and comes back as zero
        return Example(np.log(spectra.power).astype(np.float16), spectra.speech)


def _prepare(job: tuple[Path, Sequence[Path]]) -> None:
    """Worker: file to write, and recordings of one speaker."""
    file, paths = job
    analysis = SpectralAnalysis(SpeechDetector())
    save_examples([example_of(read_recording(path), analysis) for path in paths], file)


def save_examples(examples: Sequence[Example], file: Path) -> None:
    """Keep examples in one file of the cache."""
    with whole_file(file) as stream:
        np.savez(
            stream,
            log_power=np.concatenate([e.log_power for e in examples]),
            speech=np.concatenate([e.speech for e in examples]),
            ends=np.cumsum([len(e.speech) for e in examples]),
        )


def load_examples(file: Path) -> list[Example]:
    """What :func:`save_examples` kept."""
    with np.load(file) as arrays:
        cuts = arrays["ends"][:-1]
        log_power, speech = (np.split(arrays[name], cuts) for name in ("log_power", "speech"))
    return [Example(*parts) for parts in zip(log_power, speech, strict=True)]


@cache
def front_end_sources() -> str:
    """Digest of what makes the spectra: what older code or another gate made is not used again."""
    modules = (
        streamer.signal,
        streamer.recognition.spectra,
        streamer.recognition.voice_gate,
        streamer.sound.resampler,
    )
    files = [Path(str(module.__file__)) for module in modules]
    code = digest_of(*(file.read_text(encoding="utf-8") for file in files))
    return code + _digest_of_gate(bundled(VOICE_GATE))


def _digest_of_gate(path: Path) -> str:
    """Digest of a voice gate, whatever it says of what it was taught on."""
    import onnx

    from model.silero import PROPERTIES

    gate = onnx.load(str(path))
    onnx.helper.set_model_props(gate, PROPERTIES)
    return hashlib.sha256(gate.SerializeToString()).hexdigest()


_OWN = ("streamer", "model", "train")


def digest_of(*sources: str) -> str:
    """Digest of code, whatever its comments and line breaks, and where it takes names from."""
    trees = [ast.parse(one) for one in sources]
    for tree in trees:
        for node in tree.body:  # our own modules may move; names and others' modules count
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _OWN:
                node.module = ""
    return hashlib.sha256("".join(map(ast.dump, trees)).encode()).hexdigest()


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


def prepare(utterances: Sequence[Utterance], cache_folder: Path) -> list[Example]:
    """Spectra of every utterance as recorded, from the cache or computed now on all cores.

    Args:
        utterances: what to prepare, in this order.
        cache_folder: of what is prepared.
    """
    jobs: dict[Path, list[Path]] = {}
    chunks = _chunks(utterances)
    for chunk in chunks:
        paths = [utterances[index].path for index in chunk]
        jobs[cache_folder / f"{key_of(paths)}.npz"] = paths
    missing = [job for job in jobs.items() if not job[0].exists()]
    if missing:
        cache_folder.mkdir(parents=True, exist_ok=True)
        with worker_pool() as pool, progress_bar() as bar:
            for _ in bar.track(pool.map(_prepare, missing), len(missing), description="prepare"):
                pass
    examples: dict[int, Example] = {}
    for chunk, file in zip(chunks, jobs, strict=True):
        examples.update(zip(chunk, load_examples(file), strict=True))
    return [examples[index] for index in range(len(utterances))]


def key_of(paths: Iterable[Path], *settings: object) -> str:
    """Name in the cache of what these recordings and settings give."""
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    key = repr((files, settings, front_end_sources()))
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def estimate_prior(examples: Iterable[Example]) -> Float64:
    """Mean relative power spectrum of speech ``(201,)``, sums to 1; utterances count alike."""
    total = np.zeros(FREQUENCY_BINS)
    for example in examples:
        spectra = example.spectra()
        power = spectra.power[spectra.speech >= SPEECH_THRESHOLD].sum(axis=(0, 1), dtype=float)
        if power.sum() > 0:
            total += power / power.sum()
    return usable_prior(total)


def usable_prior(total: Float64) -> Float64:
    """A spectrum ``(201,)`` that sums to 1 and is zero nowhere, as a normaliser wants it."""
    relative = total / total.sum()
    relative = np.maximum(relative, LEAST_PRIOR)
    return np.asarray(relative / relative.sum())


@dataclass(frozen=True)
class Features:
    """Normalised features of streams, one after the other, as the network meets them.

    Attributes:
        values: ``(timesteps, 4, 201)`` float16.
        speech: ``(timesteps,)`` float32.
        ends: ``(streams,)`` where each stream's timesteps end.
    """

    values: NDArray[np.float16]
    speech: Float32
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """``(streams,)`` timesteps."""
        return np.diff(self.ends, prepend=0)

    def rows(self, index: int) -> slice:
        """Timesteps of a stream."""
        return slice(int(self.ends[index - 1]) if index else 0, int(self.ends[index]))

    @property
    def whole(self) -> NDArray[np.int64]:
        """One span for each stream, ``(streams, 3)``, as ``votes_of`` takes them."""
        lengths = self.lengths
        return np.stack([np.arange(len(self)), np.zeros_like(lengths), lengths], axis=1)


def features_of(
    examples: Sequence[Example], normaliser: Normaliser, normalisation: str = "causal"
) -> Features:
    """Features of every example as a stream of its own.

    Args:
        examples: what was prepared.
        normaliser: of the front end.
        normalisation: "causal", by that normaliser; or "utterance", see :func:`standardise`.
    """
    return (
        standardise(examples) if normalisation == "utterance" else normalise(examples, normaliser)
    )


def standardise(examples: Sequence[Example]) -> Features:
    """The paper's features: the log spectrogram of an utterance, less its mean, by its deviation.

    One mean and one deviation for all frames and the bins from 80 Hz on, zero below; the paper does
    not say over what its z-norm runs. It takes the whole utterance, so nothing that is trained on
    it can follow a stream.
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
    """Features of examples, their values still to be written."""
    ends = np.cumsum([len(example.speech) for example in examples])
    return Features(
        np.empty((int(ends[-1]), FRAMES_PER_TIMESTEP, FREQUENCY_BINS), np.float16),
        np.concatenate([example.speech for example in examples]),
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
