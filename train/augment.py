"""What a stream may meet that a studio recording does not: other levels, floors, rooms, colours.

On waveforms at 16 kHz, before the runtime's own front end and voice gate hear them. What is done to
features instead, SpecAugment and mixup, is in ``train/batches.py``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import ndimage, signal

from streamer.audio import read_recording
from streamer.frontend import FREQUENCY_BINS, SAMPLE_RATE
from train.ranges import check_interval, check_number

Float32 = NDArray[np.float32]
Generator = np.random.Generator

EPSILON = 1e-9

#: What a background recording is used for.
NoisePart = Literal["train", "test"]


#: What an ablation leaves out -> the settings of :class:`Augmentation` without it.
KINDS: dict[str, dict[str, Any]] = {
    "speed": {"speed": (1.0, 1.0)},
    "gain": {"gain_db": None},
    "noise": {"floor_db": None},
    "rooms": {"room": 0.0},
    "colour": {"tilt_db": 0.0},
    "denoising": {"denoise": 0.0},
    "before": {"lead_s": 0.0, "previous": 0.0},
    "specaugment": {"masked_bins": 0, "masked_timesteps": 0},
    "mixup": {"mixup": 0.0},
}


@dataclass(frozen=True)
class Augmentation:
    """Ranges that a training copy of an utterance is drawn from, and what batches do to it.

    Attributes:
        gain_db: level of the whole copy, uniform; None leaves it as recorded.
        denoise: probability that the recording's own noise is taken out first. In CREMA-D quiet
            emotions were recorded into a fixed noise floor, so a network hears "sad" in the noise
            and "angry" in any clean recording; a floor drawn afresh breaks that bond.
        floor_db: noise relative to the speech, uniform; -60 is inaudible, -10 a loud street; None
            adds none.
        real_noise: probability that the floor is a background recording; half of the others are
            steady, coloured noise, half are made to sound like such a recording.
        room: probability of a room impulse response.
        tilt_db: greatest spectral tilt either way over 100 Hz to 8 kHz, and depth of two broad
            peaks or dips; 0 leaves the colour as recorded.
        speed: playback speed (pitch and tempo), uniform.
        lead_s: noise heard before the speech, uniform from 0.
        previous: probability that another utterance of the speaker comes before, so that the
            normaliser and the window arrive used.
        masked_bins: widest band that SpecAugment sets to zero, twice an example.
        masked_timesteps: longest stretch that it sets to zero, twice an example.
        mixup: parameter of the beta distribution from which the share of an example is drawn that
            another one of its batch takes over, features and labels alike; 0 mixes none.
    """

    gain_db: tuple[float, float] | None = (-30.0, 6.0)
    denoise: float = 0.75
    floor_db: tuple[float, float] | None = (-60.0, -10.0)
    real_noise: float = 0.5
    room: float = 0.35
    tilt_db: float = 8.0
    speed: tuple[float, float] = (0.92, 1.08)
    lead_s: float = 0.7
    previous: float = 0.25
    masked_bins: int = 30
    masked_timesteps: int = 8
    mixup: float = 0.0

    def __post_init__(self) -> None:
        for name in ("denoise", "real_noise", "room", "previous"):
            check_number(name, getattr(self, name), 0, 1)
        check_number("tilt_db", self.tilt_db, 0, 40)
        check_number("lead_s", self.lead_s, 0, 10)
        check_number("masked_bins", self.masked_bins, 0, FREQUENCY_BINS, whole=True)
        check_number("masked_timesteps", self.masked_timesteps, 0, whole=True)
        check_number("mixup", self.mixup, 0, 10)
        check_interval("speed", self.speed, 0.5, 2.0)
        for name in ("gain_db", "floor_db"):
            if getattr(self, name) is not None:
                check_interval(name, getattr(self, name), -100, 60)

    def without(self, kinds: Iterable[str]) -> Augmentation:
        """The same but for the :data:`KINDS` named.

        Raises:
            ValueError: there is no such kind.
        """
        kept = self
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"no augmentation {kind!r}: there are {', '.join(KINDS)}")
            kept = replace(kept, **KINDS[kind])
        return kept

    def of_waveforms(self) -> Augmentation:
        """The same but for what batches do: all that a prepared copy depends on."""
        return self.without(("specaugment", "mixup"))


def noise_part(path: Path) -> NoisePart:
    """Whether a background recording is mixed into training or kept for evaluation.

    By name alone, so that a recording more or less moves no other. Those of one place and minute
    (names carry YYYYMMDDhhmm) are one scene and stay together; about a fifth is kept.
    """
    minute = re.search(r"\d{12}", path.stem)
    scene = f"{path.parent.name}/{minute.group() if minute else path.stem}"
    return "test" if zlib.crc32(scene.encode()) % 5 == 0 else "train"


@cache
def load_noises(root: Path, part: NoisePart) -> list[Float32]:
    """Background recordings of a part below ``root``; impulse responses and taps are left out."""
    paths = sorted(
        path
        for path in root.rglob("*")
        if path.suffix in {".opus", ".wav"}
        and path.parent.name not in {"impulse_responses", "short"}
        and noise_part(path) == part
    )
    return [read_recording(path) for path in paths]


@cache
def load_rooms(root: Path) -> list[Float32]:
    """Measured impulse responses below ``root``."""
    return [read_recording(path) for path in sorted((root / "impulse_responses").rglob("*.wav"))]


def active_rms(samples: Float32) -> float:
    """RMS of the loudest half of 20 ms pieces: the level of the speech, not of its pauses."""
    pieces = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    if not len(pieces):
        return EPSILON
    power = np.sort(np.mean(pieces.astype(np.float64) ** 2, axis=1))
    return float(np.sqrt(np.mean(power[len(power) // 2 :])) + EPSILON)


def take_out_noise(samples: Float32) -> Float32:
    """Spectral subtraction of the stationary noise that the quietest tenth of the frames holds."""
    if len(samples) < 2048:
        return samples
    _, _, spectrum = signal.stft(samples, SAMPLE_RATE, nperseg=512, noverlap=384)
    # Averaged over time and frequency: a single bin of noise is as often far under its mean as
    # over it, and what is left of it would twinkle.
    power = ndimage.uniform_filter(np.abs(spectrum) ** 2, (5, 5))
    noise = 1.5 * np.percentile(power, 10, axis=1, keepdims=True)
    gain = np.clip(1.0 - 2.0 * noise / (power + EPSILON**2), 10.0 ** (-40.0 / 20.0), 1.0)
    _, clean = signal.istft(spectrum * gain, SAMPLE_RATE, nperseg=512, noverlap=384)
    return clean[: len(samples)].astype(np.float32)


def _unit_rms(samples: NDArray[np.floating]) -> Float32:
    rms = np.sqrt(np.mean(samples.astype(np.float64) ** 2))
    return (samples / (rms + EPSILON)).astype(np.float32)


def coloured_noise(samples: int, generator: Generator) -> Float32:
    """Noise with a 1/f^a power spectrum, a from 0 (white) to 2 (brown), unit RMS."""
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    frequency = np.maximum(np.arange(len(spectrum)), 1 + samples * 50 // SAMPLE_RATE)
    return _unit_rms(np.fft.irfft(spectrum * frequency ** (-generator.uniform(0, 2) / 2), samples))


def _wavering(samples: int, generator: Generator) -> NDArray[np.float64]:
    """Noise below 8 Hz, its deviation 0.8: how a level or a pitch wavers."""
    points = generator.standard_normal(samples * 16 // SAMPLE_RATE + 2)
    return np.interp(np.arange(samples) * 16 / SAMPLE_RATE, np.arange(len(points)), points)


def made_background(samples: int, generator: Generator) -> Float32:
    """What streets and rooms sound like, made: unit RMS.

    Coloured noise with broad peaks, in half of all with the hum of an engine or the mains, of a
    level that wavers.
    """
    noise = _unit_rms(colour(coloured_noise(samples, generator), 10.0, generator))
    if generator.random() < 0.5:
        pitch = generator.uniform(40, 400) * (1 + 0.02 * _wavering(samples, generator))
        turns = np.cumsum(pitch) / SAMPLE_RATE
        slope, phases = generator.uniform(0.5, 2), generator.uniform(0, 1, 8)
        hum = sum(
            np.sin(2 * np.pi * (number * turns + phase)) / number**slope
            for number, phase in enumerate(phases, 1)
        )
        noise += generator.uniform(0, 1.5) * _unit_rms(hum)
    deviation_db = generator.uniform(0, 6)
    return _unit_rms(noise * 10.0 ** (deviation_db * _wavering(samples, generator) / 20.0))


def background(samples: int, noises: Sequence[Float32], generator: Generator) -> Float32:
    """A stretch of a background recording, repeated to length, unit RMS."""
    noise = noises[generator.integers(len(noises))]
    start = int(generator.integers(len(noise)))
    return _unit_rms(np.resize(np.roll(noise, -start), samples))


def synthetic_room(generator: Generator) -> Float32:
    """Exponentially decaying noise after a direct path: reverberation of 0.15 to 0.6 s."""
    decay_s = generator.uniform(0.15, 0.6)
    length = int(decay_s * SAMPLE_RATE)
    tail = generator.standard_normal(length) * 10.0 ** (-3.0 * np.arange(length) / length)
    tail *= 10.0 ** (generator.uniform(-18, -3) / 20) / (np.sqrt(np.sum(tail**2)) + EPSILON)
    tail[0] = 1.0
    return tail.astype(np.float32)


def colour(samples: Float32, depth_db: float, generator: Generator) -> Float32:
    """Filter with a random tilt and two broad peaks or dips, as microphones and rooms have."""
    frequency = np.linspace(0, 1, 65)
    octaves = np.log2(np.maximum(frequency * SAMPLE_RATE / 2, 100) / 100) / np.log2(80)
    gain_db = generator.uniform(-depth_db, depth_db) * (octaves - 0.5)
    for _ in range(2):
        centre, width = generator.uniform(0, 1), generator.uniform(0.05, 0.25)
        bump = np.exp(-(((octaves - centre) / width) ** 2))
        gain_db = gain_db + generator.uniform(-depth_db, depth_db) * bump
    if generator.random() < 0.25:
        gain_db = gain_db - 40.0 * (frequency > generator.uniform(0.42, 1.0))  # band limit
    taps = signal.firwin2(129, frequency, 10.0 ** (gain_db / 20.0))
    return signal.fftconvolve(samples, taps, mode="same").astype(np.float32)


def change_speed(samples: Float32, speed: float) -> Float32:
    """Play faster or slower, pitch included."""
    return np.asarray(soxr.resample(samples, SAMPLE_RATE * speed, SAMPLE_RATE), np.float32)


def augment(
    speech: Float32,
    before: Float32 | None,
    ranges: Augmentation,
    noises: Sequence[Float32],
    rooms: Sequence[Float32],
    generator: Generator,
) -> tuple[Float32, int]:
    """One training copy: what a microphone hears before and during an utterance.

    Args:
        speech: the utterance.
        before: an utterance of the same speaker that comes first, or None.
        ranges: what is drawn from.
        noises: background recordings.
        rooms: impulse responses.
        generator: of everything drawn.

    Returns:
        the samples, and the index at which the utterance starts in them.
    """
    lead = np.zeros(int(generator.uniform(0, ranges.lead_s) * SAMPLE_RATE), np.float32)
    if generator.random() < ranges.denoise:
        speech = take_out_noise(speech)
        before = None if before is None else take_out_noise(before)
    parts = [lead] if before is None else [before, lead]
    start = sum(len(part) for part in parts)
    heard = np.concatenate([*parts, speech])
    level = active_rms(speech)

    speed = float(generator.uniform(*ranges.speed))
    heard, start = change_speed(heard, speed), int(start / speed)
    if ranges.tilt_db:
        heard = colour(heard, ranges.tilt_db, generator)
    if generator.random() < ranges.room:
        measured = len(rooms) > 0 and generator.random() < 0.5
        room = rooms[generator.integers(len(rooms))] if measured else synthetic_room(generator)
        room = room[np.argmax(np.abs(room)) :]  # the direct path first: labels keep their time
        heard = signal.fftconvolve(heard, room)[: len(heard)].astype(np.float32)
    heard *= np.float32(level / active_rms(heard[start:]))
    if ranges.floor_db is not None:
        noise = _noise(len(heard), ranges, noises, generator)
        floor = level * 10.0 ** (generator.uniform(*ranges.floor_db) / 20.0)
        heard = heard + noise * np.float32(floor)
    if ranges.gain_db is not None:
        # The level does not depend on how loud the corpus is.
        gain = 0.1 * 10.0 ** (generator.uniform(*ranges.gain_db) / 20.0) / level
        heard = heard * np.float32(gain)
    # Clipped as a converter does.
    return np.clip(heard, -1.0, 1.0).astype(np.float32), start


def _noise(
    samples: int, ranges: Augmentation, noises: Sequence[Float32], generator: Generator
) -> Float32:
    """Noise of unit RMS: recorded, steady, or made to sound like a recording."""
    if len(noises) > 0 and generator.random() < ranges.real_noise:
        return background(samples, noises, generator)
    make = made_background if generator.random() < 0.5 else coloured_noise
    return make(samples, generator)
