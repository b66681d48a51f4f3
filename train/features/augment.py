"""Augmentation: levels, noise floors, rooms and colours that studio recordings lack.

This module has the ranges to draw from, and loads or makes the backgrounds and rooms. Other modules
of ``train/features`` apply them; ``train/fitting/batches.py`` has SpecAugment and mixup.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from streamer.errors import SerLiveError
from streamer.signal import FREQUENCY_BINS, SAMPLE_RATE
from streamer.sound.files.recording import Recording, read_recording
from streamer.sound.resampler import Resampler
from train.corpora.layouts import audio_files
from train.ranges import check_interval, check_number

Float32 = NDArray[np.float32]
Generator = np.random.Generator

EPSILON = 1e-9

#: Use of a background recording.
NoisePart = Literal["train", "test"]


#: Kind of augmentation -> the settings of :class:`Augmentation` that turn it off, for ablations.
KINDS: dict[str, dict[str, Any]] = {
    "speed": {"speed": (1.0, 1.0)},
    "gain": {"gain_db": None},
    "noise": {"floor_db": None},
    "rooms": {"room": 0.0},
    "colour": {"tilt_db": 0.0, "band_limit": 0.0},
    "denoising": {"denoise": 0.0},
    "lines": {"telephone": 0.0, "codec": 0.0, "clipping": 0.0, "offset": 0.0},
    "specaugment": {"masked_bins": 0, "masked_timesteps": 0},
    "mixup": {"mixup": 0.0},
}


@dataclass(frozen=True)
class Augmentation:
    """The ranges of the augmentation drawn for every training example.

    Attributes:
        gain_db: level of the whole example, uniform; None leaves it as recorded.
        denoise: probability of removing the recordings' own noise first. CREMA-D recorded quiet
            emotions against a fixed noise floor, so a network learns "sad" from the noise and
            "angry" from any clean recording; a newly drawn floor breaks that link.
        floor_db: noise relative to the speech, uniform; -60 is inaudible, -10 a loud street; None
            adds none.
        silent: probability of adding no noise anyway, so that pauses are digital silence.
        real_noise: probability that the floor is a background recording; of the others, half are
            steady, coloured noise and half imitate such a recording.
        room: probability of a room impulse response.
        tilt_db: greatest spectral tilt either way over 100 Hz to 8 kHz, and depth of two broad
            peaks or dips; 0 leaves the colour as recorded.
        band_limit: probability of a low-pass at 3.4 to 8 kHz.
        telephone: probability of a telephone's band with 8-bit mu-law.
        codec: probability of zeroing bins far below their neighbours, as a codec of low rate does.
        clipping: probability that the converter clips, from 3 dB under the speech to 12 dB over it.
        offset: probability of a constant offset of up to 5 % of full scale. The front end removes
            it, so it matters only if the sum is clipped.
        speed: playback speed (pitch and tempo), uniform.
        masked_bins: widest band that SpecAugment sets to zero, twice per example.
        masked_timesteps: longest stretch that it sets to zero, twice per example.
        mixup: parameter of the beta distribution for the share of another example mixed into
            features and labels; 0 turns it off.
    """

    gain_db: tuple[float, float] | None = (-30.0, 6.0)
    denoise: float = 0.75
    floor_db: tuple[float, float] | None = (-60.0, -3.0)
    silent: float = 0.15
    real_noise: float = 0.5
    room: float = 0.3
    tilt_db: float = 8.0
    band_limit: float = 0.15
    telephone: float = 0.1
    codec: float = 0.08
    clipping: float = 0.12
    offset: float = 0.05
    speed: tuple[float, float] = (0.9, 1.12)
    masked_bins: int = 30
    masked_timesteps: int = 8
    mixup: float = 0.0

    def __post_init__(self) -> None:
        for name in (
            *("denoise", "silent", "real_noise", "room", "band_limit"),
            *("telephone", "codec", "clipping", "offset"),
        ):
            check_number(name, getattr(self, name), 0, 1)
        check_number("tilt_db", self.tilt_db, 0, 40)
        check_number("masked_bins", self.masked_bins, 0, FREQUENCY_BINS, whole=True)
        check_number("masked_timesteps", self.masked_timesteps, 0, whole=True)
        check_number("mixup", self.mixup, 0, 10)
        check_interval("speed", self.speed, 0.5, 2.0)
        for name in ("gain_db", "floor_db"):
            if getattr(self, name) is not None:
                check_interval(name, getattr(self, name), -100, 60)

    def without(self, kinds: Iterable[str]) -> Augmentation:
        """Return a copy without some of the :data:`KINDS`.

        Raises:
            ValueError: there is no such kind.
        """
        kept = self
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"no augmentation {kind!r}: there are {', '.join(KINDS)}")
            kept = replace(kept, **KINDS[kind])
        return kept


def noise_part(path: Path) -> NoisePart:
    """Return whether a background recording is for training or for evaluation.

    Only the name decides, so that adding a recording moves no other. Recordings of one place and
    minute (names contain YYYYMMDDhhmm) and takes of one recording (names end in -A, -B) are one
    scene and stay together; about a fifth is for evaluation.
    """
    minute = re.search(r"\d{12}", path.stem)
    scene = minute.group() if minute else re.sub(r"-[A-Z]$", "", path.stem)
    scene = f"{path.parent.name}/{scene}"
    return "test" if zlib.crc32(scene.encode()) % 5 == 0 else "train"


#: Licences of the background recordings by their folder among the corpora.
BACKGROUNDS = {"esc10": "CC-BY-3.0", "noise": "CC-BY-NC-SA-4.0"}
#: Fewest samples of a background.
LEAST_BACKGROUND = SAMPLE_RATE // 2
#: Folders that do not hold backgrounds, or hold human voices.
PASSED_OVER = frozenset(("impulse_responses", "short", "baby-cry", "person-sneeze"))


def noise_files(root: Path, part: NoisePart) -> list[Path]:
    """Return a part's readable background recordings below ``root``, no :data:`PASSED_OVER`."""
    return [
        path
        for path in audio_files(root)
        if path.parent.name not in PASSED_OVER
        and noise_part(path) == part
        and path.is_file()
        and os.access(path, os.R_OK)
    ]


def room_files(root: Path) -> list[Path]:
    """Return the measured impulse responses below ``root``."""
    return list(audio_files(root / "impulse_responses"))


@cache
def load_noises(root: Path, part: NoisePart) -> list[Float32]:
    """Load a part's background recordings from ``root``."""
    found = [_as_far_as_readable(path) for path in noise_files(root, part)]
    return [one for one in found if len(one) >= LEAST_BACKGROUND]


def _as_far_as_readable(path: Path) -> Float32:
    """Read a background; a damaged file gives a shorter one."""
    parts = [np.zeros(0, np.float32)]
    with suppress(SerLiveError), Recording(path) as recording:
        resampler = Resampler(recording.sample_rate)
        for block in recording.blocks(1_000):
            parts.append(resampler.accept(block))
    return np.concatenate(parts)


@cache
def load_rooms(root: Path) -> list[Float32]:
    """Load the measured impulse responses below ``root``."""
    return [read_recording(path) for path in room_files(root)]


def active_rms(samples: Float32) -> float:
    """Return the RMS of the louder half of 20 ms pieces: the level of speech without its pauses."""
    pieces = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    if not len(pieces):
        return EPSILON
    power = np.sort(np.mean(pieces.astype(np.float64) ** 2, axis=1))
    return float(np.sqrt(np.mean(power[len(power) // 2 :])) + EPSILON)


def take_out_noise(samples: Float32) -> Float32:
    """Subtract the stationary noise spectrum, estimated from the quietest tenth of the frames."""
    if len(samples) < 2048:
        return samples
    _, _, spectrum = signal.stft(samples, SAMPLE_RATE, nperseg=512, noverlap=384)
    # Average over time and frequency: single bins of noise scatter far under and over their mean,
    # and their residue would be musical noise.
    power = ndimage.uniform_filter(np.abs(spectrum) ** 2, (5, 5))
    noise = 1.5 * np.percentile(power, 10, axis=1, keepdims=True)
    gain = np.clip(1.0 - 2.0 * noise / (power + EPSILON**2), 10.0 ** (-40.0 / 20.0), 1.0)
    _, clean = signal.istft(spectrum * gain, SAMPLE_RATE, nperseg=512, noverlap=384)
    return clean[: len(samples)].astype(np.float32)  # type: ignore[no-any-return]


def _unit_rms(samples: NDArray[np.floating]) -> Float32:
    rms = np.sqrt(np.mean(samples.astype(np.float64) ** 2))
    return np.asarray(samples / (rms + EPSILON), np.float32)


def coloured_noise(samples: int, generator: Generator) -> Float32:
    """Make noise with a 1/f^a power spectrum, a from 0 (white) to 2 (brown), at unit RMS."""
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    frequency = np.maximum(np.arange(len(spectrum)), 1 + samples * 50 // SAMPLE_RATE)
    return _unit_rms(np.fft.irfft(spectrum * frequency ** (-generator.uniform(0, 2) / 2), samples))


def _wavering(samples: int, generator: Generator) -> NDArray[np.float64]:
    """Make noise below 8 Hz with deviation 0.8, to modulate a level or a pitch."""
    points = generator.standard_normal(samples * 16 // SAMPLE_RATE + 2)
    return np.interp(np.arange(samples) * 16 / SAMPLE_RATE, np.arange(len(points)), points)


def made_background(samples: int, generator: Generator) -> Float32:
    """Synthesise the sound of a street or room at unit RMS.

    It is coloured noise with broad peaks and a wavering level, in half of all cases with the hum of
    an engine or the mains.
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
    """Cut a stretch of a background recording, repeated to length, at unit RMS."""
    noise = noises[int(generator.integers(len(noises)))]
    start = int(generator.integers(len(noise)))
    return _unit_rms(np.resize(np.roll(noise, -start), samples))


def synthetic_room(generator: Generator) -> Float32:
    """Make exponentially decaying noise after a direct path: reverberation of 0.15 to 0.6 s."""
    decay_s = generator.uniform(0.15, 0.6)
    length = int(decay_s * SAMPLE_RATE)
    tail = generator.standard_normal(length) * 10.0 ** (-3.0 * np.arange(length) / length)
    tail *= 10.0 ** (generator.uniform(-18, -3) / 20) / (np.sqrt(np.sum(tail**2)) + EPSILON)
    tail[0] = 1.0
    return tail.astype(np.float32)


def colour(samples: Float32, depth_db: float, generator: Generator) -> Float32:
    """Filter with a random tilt and two broad peaks or dips, like microphones and rooms."""
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
    return np.asarray(signal.fftconvolve(samples, taps, mode="same"), np.float32)
