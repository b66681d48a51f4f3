"""What a stretch of a stream meets on its way to the converter, for a batch at a time, in torch.

Everything is drawn anew for every stretch, on the device that trains: levels, rooms, floors, what a
telephone, a codec, a clipping converter and an offset do. What can be a gain on a spectrum is one
(:func:`draw_colours`), and costs nothing; only what is not linear touches the waveform.
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

#: Made backgrounds and rooms in the bank: enough that none is met often, made in seconds.
MADE_NOISES = 96
MADE_ROOMS = 96
NOISE_SECONDS = 12.0
ROOM_SAMPLES = round(0.6 * SAMPLE_RATE)
#: What surroundings are made for; of one seed, those for the one are none of the other's.
TRAINED_ON, JUDGED_ON = 7, 8
#: Level that a gain of 0 dB brings the speech to.
REFERENCE_RMS = 0.1
#: Shape of mu-law, 8 bits.
MU = 255.0


@dataclass(frozen=True)
class Surroundings:
    """Backgrounds and rooms, made or loaded once.

    Attributes:
        noises: ``(noises, samples)`` unit RMS.
        recorded: how many of them, the first ones, are recordings.
        rooms: ``(rooms, samples)`` impulse responses, the direct path first.
        measured: how many of them, the first ones, are measured.
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
    """Bring recordings to one length, and make as many as are wanted beside them.

    Args:
        noises: background recordings at 16 kHz.
        rooms: measured impulse responses.
        seed: of what is made.
        device: that they are used on.
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
    """Lay recordings into silence: ``(batch, length)`` float32, full scale 1.

    Speed is a resampling by cubic interpolation, pitch and tempo alike.

    Args:
        bank_samples: ``(samples,)`` int16, the bank's recordings on the device of the result.
        bank: where each begins.
        placements: of each stretch.
        length: samples.
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
    """The same in one piece: a GPU is kept waiting by thousands of small orders, a CPU by memory.

    No two recordings of a stretch overlap.
    """
    device = bank_samples.device
    heard = torch.zeros(len(placements) * length, device=device)
    flat = [(row, one) for row, stretch in enumerate(placements) for one in stretch]
    recordings = np.array([one.recording for _, one in flat], np.int64)
    speeds = np.array([one.speed for _, one in flat])
    gains = 10.0 ** (np.array([one.gain_db for _, one in flat]) / 20.0)
    sizes = bank.lengths[recordings]
    # A sample between two needs the one after.
    whole = np.where(speeds == 1.0, sizes, np.ceil((sizes - 1) / speeds)).astype(np.int64)
    counts = np.minimum(np.array([one.samples for _, one in flat], np.int64), whole)

    def each(values: NDArray[Any]) -> Tensor:
        """A value a placement -> a value a sample."""
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
    """So many samples of a recording played at a speed."""
    if speed == 1.0:
        return recording[:samples]
    position = torch.arange(samples, device=recording.device, dtype=torch.float64) * speed
    index = position.long()
    index = index[index < len(recording) - 1]
    after = (position[: len(index)] - index).to(torch.float32)
    padded = functional.pad(recording, (1, 2))
    return _spline([padded[index + shift] for shift in range(4)], after)


def _spline(around: Sequence[Tensor], after: Tensor) -> Tensor:
    """Catmull and Rom's, through the four samples around; ``after`` the second by so much."""
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
    """Rooms, noise, level, and what a converter or a line does to the waveform.

    Args:
        heard: ``(batch, samples)`` speech in silence.
        levels: ``(batch,)`` active level of its speech.
        ranges: what is drawn from.
        surroundings: of the device.
        phoned: ``(batch,)`` which rows go through a telephone.
        generator: of everything drawn.

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
    """Each row in a room of its own, at the level it had."""
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
    """A stretch of a background, ``(length,)``, unit RMS."""
    recorded, count = surroundings.recorded, len(surroundings.noises)
    is_recorded = recorded > 0 and generator.random() < real
    index = generator.integers(0, recorded) if is_recorded else generator.integers(recorded, count)
    noise = surroundings.noises[int(index)]
    start = int(generator.integers(len(noise)))
    return noise.roll(-start).repeat(-(-length // len(noise)))[:length]


def _harm(
    heard: Tensor, levels: Tensor, ranges: Augmentation, phoned: Bools, generator: Generator
) -> None:
    """In place: clipping, an offset, the steps of mu-law, each in some of the rows."""
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
    """Rounded to 8 bits on mu-law's scale, ``(samples,)`` within full scale."""
    bounded = samples.clamp(-1.0, 1.0)
    curved = bounded.sign() * torch.log1p(MU * bounded.abs()) / np.log1p(MU)
    stepped: Tensor = (curved * 127.0).round() / 127.0
    return stepped.sign() * torch.expm1(stepped.abs() * np.log1p(MU)) / MU


def draw_colours(ranges: Augmentation, phoned: Bools, generator: Generator) -> Float32:
    """Gains on the power of each bin, ``(batch, 201)``: microphones, rooms, bands of lines.

    A tilt, two broad peaks or dips, in some rows a band limit or the band of a telephone.

    Args:
        ranges: what is drawn from.
        phoned: ``(batch,)`` which rows go through a telephone.
        generator: of everything drawn.
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
    """Waveforms ``(batch, samples)`` whose power has been given the gains ``(batch, 201)``."""
    size = 1 << (heard.shape[1] - 1).bit_length()
    amplitudes = torch.from_numpy(gains).to(heard).sqrt()[:, None]
    whole = functional.interpolate(amplitudes, size // 2 + 1, mode="linear", align_corners=True)
    spectrum = torch.fft.rfft(heard, size) * whole[:, 0]
    shaped: Tensor = torch.fft.irfft(spectrum, size)[:, : heard.shape[1]]
    return shaped


def _slope(frequency: NDArray[np.float64], edge: NDArray[np.float64]) -> NDArray[np.float64]:
    """Attenuation in dB of a low-pass: 70 dB within 300 Hz above the edge."""
    return np.clip((frequency - edge) / 300.0, 0, 1) * 70.0


def thin_out(power: Tensor, share: float, generator: Generator) -> None:
    """In place: what a codec of low rate leaves away, bins far below their neighbours.

    Args:
        power: ``(batch, frames, 201)``.
        share: of the rows that it is done to.
        generator: of everything drawn.
    """
    for row in np.flatnonzero(generator.random(len(power)) < share):
        near = functional.max_pool1d(power[row], 21, stride=1, padding=10)
        masked = power[row] < near * 10.0 ** (float(generator.uniform(-28.0, -12.0)) / 10.0)
        power[row].masked_fill_(masked, 0.0)
