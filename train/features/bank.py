"""The bank: every recording decoded once, in its original and a denoised version."""

from __future__ import annotations

import hashlib
import inspect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.spectra import SpectralAnalysis
from streamer.recognition.voice_gate import SpeechDetector, open_voice_gate
from streamer.signal import FREQUENCY_BINS, SPEECH_THRESHOLD
from streamer.sound.files.recording import read_recording
from train.features.augment import active_rms, take_out_noise
from train.features.data import analyse, front_end_sources, source_digest, usable_prior
from train.progress import tracked
from train.whole_file import whole_file
from train.workers import WorkerPool

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int16 = NDArray[np.int16]
Int64 = NDArray[np.int64]

#: Recordings per cache file.
CHUNK = 64
#: Full scale of the bank's samples, and the share of it to which every recording's peak is scaled,
#: up or down.
FULL_SCALE = 32767.0
STORED_PEAK = 0.5


@dataclass(frozen=True)
class Bank:
    """Concatenated recordings, each scaled to the same peak.

    Attributes:
        recorded: ``(samples,)``, unchanged apart from the scale.
        denoised: ``(samples,)`` without stationary noise.
        ends: ``(recordings,)`` end of each recording's samples.
        speech: ``(timesteps,)`` speech probability of the unchanged recordings, each in its own
            stream.
        speech_ends: ``(recordings,)`` end of each recording's timesteps.
        levels: ``(recordings,)`` :func:`~train.features.augment.active_rms` as recorded; 1 is full
            scale.
        gains: ``(recordings,)`` factor applied to the stored samples, below 1 if the recording was
            louder.
        prior: ``(201,)`` mean relative power spectrum of their speech, sums to 1.
    """

    recorded: Int16
    denoised: Int16
    ends: Int64
    speech: Float32
    speech_ends: Int64
    levels: Float64
    gains: Float64
    prior: Float64

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def starts(self) -> Int64:
        """``(recordings,)`` start of each recording's samples."""
        return np.concatenate([[0], self.ends[:-1]])

    @property
    def lengths(self) -> Int64:
        """``(recordings,)`` length in samples."""
        return self.ends - self.starts

    @property
    def timesteps(self) -> Int64:
        """``(recordings,)`` length in timesteps."""
        return np.diff(self.speech_ends, prepend=0)

    @property
    def speech_starts(self) -> Int64:
        """``(recordings,)`` start of each recording's timesteps."""
        return np.concatenate([[0], self.speech_ends[:-1]])


def _decode(job: tuple[Path, Sequence[Path]], gate: Path | None) -> None:
    """Decode recordings into one file, in a worker; the job has the file and their paths."""
    file, paths = job
    analysis = SpectralAnalysis(SpeechDetector(open_voice_gate(gate) if gate else None))
    parts: dict[str, list[NDArray[np.generic]]] = {
        name: [] for name in ("recorded", "denoised", "speech")
    }
    levels, gains, lengths, timesteps = [], [], [], []
    prior = np.zeros(FREQUENCY_BINS)
    for path in paths:
        samples = read_recording(path)
        spectra = analyse(samples, analysis)
        power = spectra.power[spectra.speech >= SPEECH_THRESHOLD].sum(axis=(0, 1), dtype=float)
        prior += power / power.sum() if power.sum() > 0 else 0.0
        gain = STORED_PEAK / max(float(np.abs(samples).max(initial=0.0)), 1e-4)
        stored = samples * np.float32(gain)
        parts["recorded"].append(_as_int16(stored))
        parts["denoised"].append(_as_int16(take_out_noise(stored)))
        parts["speech"].append(spectra.speech)
        levels.append(active_rms(samples))
        gains.append(gain)
        lengths.append(len(samples))
        timesteps.append(len(spectra.speech))
    with whole_file(file) as stream:
        np.savez(
            stream,
            **{name: np.concatenate(found) for name, found in parts.items()},  # type: ignore[arg-type]
            levels=np.array(levels),
            gains=np.array(gains),
            lengths=np.array(lengths),
            timesteps=np.array(timesteps),
            prior=prior,
        )


def _as_int16(samples: Float32) -> Int16:
    scaled = np.clip(samples * FULL_SCALE, -FULL_SCALE, FULL_SCALE)
    return np.asarray(scaled.round(), np.int16)


@cache
def _sources() -> str:
    """Return a digest of the code that makes the bank, so that older caches are not reused."""
    own = [inspect.getsource(one) for one in (_decode, take_out_noise, active_rms)]
    return front_end_sources() + source_digest(*own)


def load_bank(
    paths: Sequence[Path],
    cache_folder: Path,
    gate: Path | None = None,
    speakers: Sequence[str] = (),
) -> Bank:
    """Decode recordings on all cores, or load them from the cache.

    Args:
        paths: paths of the recordings, in order.
        cache_folder: folder for decoded recordings.
        gate: file of the voice gate that finds the speech; None uses the shipped one.
        speakers: speakers of the recordings, or at least of the first ones. The cache groups
            recordings by speaker, so that most splits share cache files.
    """
    chunks = _chunks(len(paths), speakers)
    jobs: dict[Path, Sequence[Path]] = {}
    kept: list[Path] = []
    for indices in chunks:
        chunk = [paths[index] for index in indices]
        files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in chunk]
        heard_by = gate and hashlib.sha256(gate.read_bytes()).hexdigest()
        key = hashlib.sha256(repr((files, _sources(), heard_by)).encode()).hexdigest()
        kept.append(cache_folder / f"bank-{key[:24]}.npz")
        jobs[kept[-1]] = chunk
    missing = [job for job in jobs.items() if not job[0].exists()]
    if missing:
        cache_folder.mkdir(parents=True, exist_ok=True)
        work = partial(_decode, gate=gate)
        sizes = [len(chunk) for _, chunk in missing]
        with WorkerPool() as pool:
            for _ in tracked(pool.map(work, missing), sizes, "recordings are decoded"):
                pass
    return _joined([dict(np.load(file)) for file in kept], np.concatenate([[], *chunks]))


def _chunks(count: int, speakers: Sequence[str]) -> list[list[int]]:
    """Group indices of recordings for decoding: by speaker, otherwise in order."""
    together: dict[str, list[int]] = defaultdict(list)
    for index in range(count):
        together[speakers[index] if index < len(speakers) else ""].append(index)
    return [
        indices[first : first + CHUNK]
        for indices in together.values()
        for first in range(0, len(indices), CHUNK)
    ]


def _joined(chunks: Sequence[dict[str, NDArray[Any]]], indices: NDArray[Any]) -> Bank:
    """Join the chunks, with recordings in the order of their indices."""
    order = np.argsort(indices, kind="stable")

    def whole(name: str) -> NDArray[Any]:
        return np.concatenate([chunk[name] for chunk in chunks])

    def ordered(name: str, sizes: NDArray[Any]) -> NDArray[Any]:
        values = whole(name)
        if (order[1:] > order[:-1]).all():
            return values
        parts = np.split(values, np.cumsum(sizes)[:-1])
        return np.concatenate([parts[index] for index in order])

    prior = np.sum([chunk["prior"] for chunk in chunks], axis=0)
    lengths, timesteps = whole("lengths"), whole("timesteps")
    return Bank(
        recorded=ordered("recorded", lengths),
        denoised=ordered("denoised", lengths),
        ends=np.cumsum(lengths[order]),
        speech=ordered("speech", timesteps),
        speech_ends=np.cumsum(timesteps[order]),
        levels=whole("levels")[order],
        gains=whole("gains")[order],
        prior=usable_prior(prior),
    )
