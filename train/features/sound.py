"""Augmentation of stretches of a stream up to the converter, batched, in torch.

It is drawn anew for every stretch, on the training device: levels, rooms, noise floors, telephone,
codec, clipping and offset. Linear colours are gains on the spectrum (:func:`draw_colours`), which
cost nothing; only nonlinear steps process the waveform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from streamer.signal import FREQUENCY_BINS, SAMPLE_RATE
from train.features.arrangement import Placement
from train.features.augment import (
    Augmentation,
    coloured_noise,
    made_background,
    synthetic_room,
)
from train.features.bank import FULL_SCALE, Bank

Float32 = NDArray[np.float32]
Bools = NDArray[np.bool_]
Generator = np.random.Generator

#: Number of synthetic backgrounds and rooms: enough that none recurs often, made in seconds.
MADE_NOISES = 96
MADE_ROOMS = 96
NOISE_SECONDS = 12.0
ROOM_SAMPLES = round(0.6 * SAMPLE_RATE)
#: Purposes of surroundings; with one seed, the two purposes get different ones.
TRAINED_ON, JUDGED_ON = 7, 8
#: Level of speech at a gain of 0 dB.
REFERENCE_RMS = 0.1
#: Shape of mu-law, 8 bits.
MU = 255.0


@dataclass(frozen=True)
class Surroundings:
    """Backgrounds and rooms, made or loaded once.

    Attributes:
        noises: ``(noises, samples)`` at unit RMS.
        recorded: number of recordings among them, which come first.
        rooms: ``(rooms, samples)`` impulse responses, the direct path first.
        measured: number of measured ones among them, which come first.
    """

    noises: Tensor
    recorded: int
    rooms: Tensor
    measured: int


def make_surroundings(
    noises: Sequence[Float32],
    rooms: Sequence[Float32],
    seed: int,
    device: torch.device,
    purpose: int = TRAINED_ON,
) -> Surroundings:
    """Cut recordings to one length and add synthetic backgrounds and rooms.

    Args:
        noises: background recordings at 16 kHz.
        rooms: measured impulse responses.
        seed: seed of the synthetic ones.
        device: device to put them on.
        purpose: :data:`TRAINED_ON` or :data:`JUDGED_ON`.
    """
    generator = np.random.default_rng([seed, purpose])
    samples = round(NOISE_SECONDS * SAMPLE_RATE)
    found = [_looped(one, samples) for one in noises if len(one) > SAMPLE_RATE // 4]
    made = [
        (made_background if index % 2 else coloured_noise)(samples, generator)
        for index in range(MADE_NOISES)
    ]
    responses = [one[np.argmax(np.abs(one)) :] for one in rooms]
    responses += [synthetic_room(generator) for _ in range(MADE_ROOMS)]
    return Surroundings(
        torch.from_numpy(np.stack([*found, *made])).to(device),
        len(found),
        torch.from_numpy(np.stack([_cut(one, ROOM_SAMPLES) for one in responses])).to(device),
        len(rooms),
    )


def _looped(samples: Float32, length: int) -> Float32:
    looped = np.resize(samples, length).astype(np.float64)
    return np.asarray(looped / (np.sqrt(np.mean(looped**2)) + 1e-9), np.float32)


def _cut(response: Float32, length: int) -> Float32:
    cut = np.zeros(length, np.float32)
    cut[: min(length, len(response))] = response[:length]
    return cut


def place(
    bank_samples: Tensor,
    bank: Bank,
    placements: Sequence[Sequence[Placement]],
    length: int,
) -> Tensor:
    """Place recordings in silence: ``(batch, length)`` float32, full scale 1.

    Speed is resampling by cubic interpolation and changes pitch and tempo.

    Args:
        bank_samples: ``(samples,)`` int16, the bank's recordings on the device of the result.
        bank: gives the start of each recording.
        placements: placements of each stretch.
        length: length in samples.
    """
    if bank_samples.device.type == "cuda":
        return _place_at_once(bank_samples, bank, placements, length)
    heard = torch.zeros(len(placements), length)
    starts, lengths = bank.starts, bank.lengths
    for row, stretch in enumerate(placements):
        for one in stretch:
            first, count = int(starts[one.recording]), int(lengths[one.recording])
            recording = bank_samples[first : first + count].to(torch.float32)
            played = _played(recording, one.speed, one.samples)
            gain = 10.0 ** (one.gain_db / 20.0) / (FULL_SCALE * bank.gains[one.recording])
            heard[row, one.at : one.at + len(played)] += played * gain
    return heard


def _place_at_once(
    bank_samples: Tensor, bank: Bank, placements: Sequence[Sequence[Placement]], length: int
) -> Tensor:
    """Place recordings in one operation, for a GPU: small launches stall it; memory stalls a CPU.

    No two recordings of a stretch overlap.
    """
    device = bank_samples.device
    heard = torch.zeros(len(placements) * length, device=device)
    flat = [(row, one) for row, stretch in enumerate(placements) for one in stretch]
    recordings = np.array([one.recording for _, one in flat], np.int64)
    speeds = np.array([one.speed for _, one in flat])
    gains = 10.0 ** (np.array([one.gain_db for _, one in flat]) / 20.0)
    sizes = bank.lengths[recordings]
    # Interpolation between two samples needs the later one.
    whole = np.where(speeds == 1.0, sizes, np.ceil((sizes - 1) / speeds)).astype(np.int64)
    counts = np.minimum(np.array([one.samples for _, one in flat], np.int64), whole)

    def each(values: NDArray[Any]) -> Tensor:
        """Repeat each placement's value for all of its samples."""
        return torch.from_numpy(values).to(device)[of]

    total = int(counts.sum())
    index = torch.arange(len(flat), device=device)
    of = torch.repeat_interleave(index, torch.from_numpy(counts).to(device), output_size=total)
    within = torch.arange(total, device=device) - each(np.cumsum(counts) - counts)
    position = within * each(speeds)
    at = position.long()
    after = (position - at).to(torch.float32)
    first, last = each(bank.starts[recordings]), each(sizes - 1)

    def tap(shift: int) -> Tensor:
        near = at + shift
        inside = (near >= 0) & (near <= last)
        here = bank_samples[first + torch.minimum(near.clamp(min=0), last)]
        return torch.where(inside, here.to(torch.float32), 0.0)

    played = _spline([tap(shift) for shift in (-1, 0, 1, 2)], after)
    gain = gains / (FULL_SCALE * bank.gains[recordings])
    begins = np.array([row * length + one.at for row, one in flat], np.int64)
    heard[each(begins) + within] = played * each(gain.astype(np.float32))
    return heard.view(len(placements), length)


def _played(recording: Tensor, speed: float, samples: int) -> Tensor:
    """Play a recording at a speed and return ``samples`` samples."""
    if speed == 1.0:
        return recording[:samples]
    position = torch.arange(samples, device=recording.device, dtype=torch.float64) * speed
    index = position.long()
    index = index[index < len(recording) - 1]
    after = (position[: len(index)] - index).to(torch.float32)
    padded = functional.pad(recording, (1, 2))
    return _spline([padded[index + shift] for shift in range(4)], after)


def _spline(around: Sequence[Tensor], after: Tensor) -> Tensor:
    """Interpolate by a Catmull-Rom spline at ``after`` past the second of four samples."""
    before, here, next_, later = around
    a = -0.5 * before + 1.5 * here - 1.5 * next_ + 0.5 * later
    b = before - 2.5 * here + 2.0 * next_ - 0.5 * later
    c = 0.5 * (next_ - before)
    return ((a * after + b) * after + c) * after + here


def surround(
    heard: Tensor,
    levels: Tensor,
    ranges: Augmentation,
    surroundings: Surroundings,
    phoned: Bools,
    generator: Generator,
) -> Tensor:
    """Apply rooms, noise, level, and the distortion of a converter or line.

    Args:
        heard: ``(batch, samples)`` speech in silence.
        levels: ``(batch,)`` active level of the speech.
        ranges: ranges to draw from.
        surroundings: backgrounds and rooms on the device.
        phoned: ``(batch,)`` rows that go through a telephone.
        generator: source of all random draws.

    Returns:
        ``(batch, samples)`` within full scale.
    """
    batch, length = heard.shape
    in_rooms = np.flatnonzero(generator.random(batch) < ranges.room)
    if len(in_rooms):
        heard[in_rooms] = _reverberated(heard[in_rooms], surroundings, generator)
    if ranges.floor_db is not None:
        for row in np.flatnonzero(generator.random(batch) >= ranges.silent):
            floor_db = float(generator.uniform(*ranges.floor_db))
            heard[row] += background(length, surroundings, ranges.real_noise, generator) * (
                levels[row] * 10.0 ** (floor_db / 20.0)
            )
    if ranges.gain_db is not None:
        gains = torch.from_numpy(10.0 ** (generator.uniform(*ranges.gain_db, batch) / 20.0))
        wanted = REFERENCE_RMS * gains.to(heard)
        heard *= (wanted / levels)[:, None]
        levels = wanted
    _harm(heard, levels, ranges, phoned, generator)
    return heard.clamp_(-1.0, 1.0)


def _reverberated(heard: Tensor, surroundings: Surroundings, generator: Generator) -> Tensor:
    """Put each row in a room of its own, at unchanged level."""
    count = len(heard)
    made = len(surroundings.rooms) - surroundings.measured
    is_measured = (generator.random(count) < 0.5) & (surroundings.measured > 0)
    index = np.where(
        is_measured,
        generator.integers(0, max(surroundings.measured, 1), count),
        surroundings.measured + generator.integers(0, made, count),
    )
    size = heard.shape[1] + ROOM_SAMPLES
    size = 1 << (size - 1).bit_length()
    spectrum = torch.fft.rfft(heard, size) * torch.fft.rfft(surroundings.rooms[index], size)
    wet: Tensor = torch.fft.irfft(spectrum, size)[:, : heard.shape[1]]
    return wet * (_rms(heard) / _rms(wet))


def _rms(samples: Tensor) -> Tensor:
    return samples.square().mean(dim=1, keepdim=True).sqrt() + 1e-9


def background(
    length: int, surroundings: Surroundings, real: float, generator: Generator
) -> Tensor:
    """Draw a stretch of a background, ``(length,)``, at unit RMS."""
    recorded, count = surroundings.recorded, len(surroundings.noises)
    is_recorded = recorded > 0 and generator.random() < real
    index = generator.integers(0, recorded) if is_recorded else generator.integers(recorded, count)
    noise = surroundings.noises[int(index)]
    start = int(generator.integers(len(noise)))
    return noise.roll(-start).repeat(-(-length // len(noise)))[:length]


def _harm(
    heard: Tensor, levels: Tensor, ranges: Augmentation, phoned: Bools, generator: Generator
) -> None:
    """Apply clipping, an offset and mu-law to some of the rows each, in place."""
    batch = len(heard)
    for row in np.flatnonzero(generator.random(batch) < ranges.clipping):
        bound = float(levels[row]) * 10.0 ** (generator.uniform(-3.0, 12.0) / 20.0)
        heard[row].clamp_(-bound, bound)
    for row in np.flatnonzero(phoned):
        scale = max(float(levels[row]) * 10.0, 1e-6)
        heard[row] = _mu_law(heard[row] / scale) * scale
    for row in np.flatnonzero(generator.random(batch) < ranges.offset):
        heard[row] += float(generator.uniform(-0.05, 0.05))


def _mu_law(samples: Tensor) -> Tensor:
    """Quantise ``(samples,)`` within full scale to 8-bit mu-law."""
    bounded = samples.clamp(-1.0, 1.0)
    curved = bounded.sign() * torch.log1p(MU * bounded.abs()) / np.log1p(MU)
    stepped: Tensor = (curved * 127.0).round() / 127.0
    return stepped.sign() * torch.expm1(stepped.abs() * np.log1p(MU)) / MU


def draw_colours(ranges: Augmentation, phoned: Bools, generator: Generator) -> Float32:
    """Draw power gains per bin, ``(batch, 201)``, for microphones, rooms and lines.

    Each row has a tilt and two broad peaks or dips; some have a band limit or a telephone's band.

    Args:
        ranges: ranges to draw from.
        phoned: ``(batch,)`` rows that go through a telephone.
        generator: source of all random draws.
    """
    batch = len(phoned)
    frequency = np.linspace(0, SAMPLE_RATE / 2, FREQUENCY_BINS)
    octaves = np.log2(np.maximum(frequency, 100) / 100) / np.log2(80)
    depth = ranges.tilt_db
    gain_db = generator.uniform(-depth, depth, (batch, 1)) * (octaves - 0.5)
    for _ in range(2):
        centre, width = (
            generator.uniform(0, 1, (batch, 1)),
            generator.uniform(0.05, 0.25, (batch, 1)),
        )
        bump = np.exp(-(((octaves - centre) / width) ** 2))
        gain_db = gain_db + generator.uniform(-depth, depth, (batch, 1)) * bump
    limited = generator.random((batch, 1)) < ranges.band_limit
    edge = generator.uniform(3_400, 8_000, (batch, 1))
    gain_db = gain_db - np.where(limited, _slope(frequency, edge), 0.0)
    low = generator.uniform(150, 350, (batch, 1))
    line = _slope(frequency, generator.uniform(3_300, 3_900, (batch, 1)))
    line = line + np.clip((low - frequency) / low, 0, 1) * 30.0
    gain_db = gain_db - np.where(phoned[:, None], line, 0.0)
    return np.asarray(10.0 ** (gain_db / 10.0), np.float32)


def coloured(heard: Tensor, gains: Float32) -> Tensor:
    """Apply power gains ``(batch, 201)`` to waveforms ``(batch, samples)``."""
    size = 1 << (heard.shape[1] - 1).bit_length()
    amplitudes = torch.from_numpy(gains).to(heard).sqrt()[:, None]
    whole = functional.interpolate(amplitudes, size // 2 + 1, mode="linear", align_corners=True)
    spectrum = torch.fft.rfft(heard, size) * whole[:, 0]
    shaped: Tensor = torch.fft.irfft(spectrum, size)[:, : heard.shape[1]]
    return shaped


def _slope(frequency: NDArray[np.float64], edge: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a low-pass's attenuation in dB: 70 dB within 300 Hz above the edge."""
    return np.clip((frequency - edge) / 300.0, 0, 1) * 70.0


def thin_out(power: Tensor, share: float, generator: Generator) -> None:
    """Zero bins far below their neighbours, in place, as a codec of low rate does.

    Args:
        power: ``(batch, frames, 201)``.
        share: share of the rows to change.
        generator: source of all random draws.
    """
    for row in np.flatnonzero(generator.random(len(power)) < share):
        near = functional.max_pool1d(power[row], 21, stride=1, padding=10)
        masked = power[row] < near * 10.0 ** (float(generator.uniform(-28.0, -12.0)) / 10.0)
        power[row].masked_fill_(masked, 0.0)
