"""The runtime's front end for batches, in torch; a test checks that both are equal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from streamer.recognition.level import LevelState
from streamer.recognition.level import levels_of as runtime_levels
from streamer.recognition.line import (
    FIRST_BIN_BEYOND,
    LEAST_DB,
    LEAST_POWER,
    LINE_KEEP,
    LOW_BAND_BINS,
    NARROWBAND,
    NARROWBAND_SHARE,
    QUIET_LOWS_DB,
    ROUNDING_POWER,
    SPEECH_LOWS_DB,
)
from streamer.recognition.normaliser import Normaliser
from streamer.recognition.spectra import LOWEST_BIN, SILENT_POWER, Spectra
from streamer.signal import (
    FRAME_SAMPLES,
    FRAME_TAIL_SAMPLES,
    FRAMES_PER_TIMESTEP,
    HOP_SAMPLES,
)


def power_spectra(samples: Tensor) -> Tensor:
    """Compute the power of every frame: ``(batch, samples)`` -> ``(batch, frames, 201)``.

    Bins below 80 Hz are zero. ``samples`` cover whole timesteps and the tail of the last frame,
    ``640 timesteps + 240``.
    """
    window = torch.hann_window(FRAME_SAMPLES, periodic=True, device=samples.device)
    frames = samples.unfold(1, FRAME_SAMPLES, HOP_SAMPLES)
    spectrum = torch.fft.rfft(frames * window)
    power: Tensor = spectrum.real.square() + spectrum.imag.square()
    power[..., :LOWEST_BIN] = 0.0
    return power


def samples_of(timesteps: int) -> int:
    """Return the number of samples for a number of timesteps."""
    return timesteps * FRAMES_PER_TIMESTEP * HOP_SAMPLES + FRAME_TAIL_SAMPLES


def normalise(power: Tensor, speech: Tensor, normaliser: Normaliser) -> Tensor:
    """Compute the runtime's ``Normaliser.normalise`` from the start of a stream.

    Args:
        power: ``(batch, frames, 201)``.
        speech: ``(batch, timesteps)`` speech probability.
        normaliser: the runtime's normaliser.

    Returns:
        features ``(batch, timesteps, 4, 201)``.
    """
    power = torch.unflatten(power, 1, (-1, FRAMES_PER_TIMESTEP))
    mean = power.mean(dim=2, dtype=torch.float64)
    is_speech = (speech >= normaliser.speech_threshold).double()
    keep = math.exp(-1.0 / normaliser.memory_timesteps)
    total = _forgetting_sum(mean, is_speech, keep)
    count = _forgetting_sum(torch.ones_like(mean[..., :1]), is_speech, keep)[..., 0]
    heard = is_speech.cumsum(dim=1)
    loudest = mean.sum(dim=2).cummax(dim=1).values
    level = torch.where(heard > 0, total.sum(dim=2) / count.clamp(min=1e-9), loudest)
    prior = _prior(mean, is_speech, normaliser)
    n0 = normaliser.prior_timesteps
    reference = (n0 * level[..., None] * prior + total) / (n0 + count)[..., None]
    floor = 10.0 ** (normaliser.floor_db / 10.0)
    gain = (1.0 / (floor * reference + SILENT_POWER)).float()
    return torch.log1p(power * gain[:, :, None, :]).mul_(1.0 / math.log1p(1.0 / floor))


def levels_of(power: Tensor, speech: Tensor) -> Tensor:
    """Compute :func:`streamer.recognition.level.levels_of` from the start of streams.

    Args:
        power: ``(batch, frames, 201)``, on the CPU.
        speech: ``(batch, timesteps)`` speech probability, on the CPU.

    Returns:
        levels ``(batch, timesteps)`` in dB.
    """
    timesteps = torch.unflatten(power, 1, (-1, FRAMES_PER_TIMESTEP)).numpy()
    levels = [
        runtime_levels(Spectra(*one), LevelState())[0]
        for one in zip(timesteps, speech.numpy(), strict=True)
    ]
    return torch.tensor(levels, dtype=torch.float32).reshape(speech.shape)


def _forgetting_sum(values: Tensor, counts: Tensor, keep: float) -> Tensor:
    """Sum values ``(batch, timesteps, n)`` where ``counts`` is one, as the runtime does.

    In closed form: each term decays by the later timesteps that count.
    """
    counted = counts.cumsum(dim=1)
    weight = (keep**-counted * counts)[..., None]
    return (keep**counted)[..., None] * (values * weight).cumsum(dim=1)


def _prior(mean: Tensor, is_speech: Tensor, normaliser: Normaliser) -> Tensor:
    """Compute ``Normaliser.prior`` after each timestep, ``(batch, timesteps, 201)``."""
    wide, telephone = (
        torch.from_numpy(one).to(mean.device)
        for one in (normaliser.prior_spectrum, normaliser.telephone_spectrum)
    )
    share = _telephone_share(mean, is_speech > 0)
    return wide + share[..., None] * (telephone - wide)


def _telephone_share(power: Tensor, is_speech: Tensor) -> Tensor:
    """Compute :func:`streamer.recognition.line.telephone_share` after each timestep."""
    sizes = [LOW_BAND_BINS, FIRST_BIN_BEYOND - LOW_BAND_BINS, power.shape[-1] - FIRST_BIN_BEYOND]
    lows, rest, beyond = (one.sum(dim=-1) for one in torch.split(power, sizes, dim=-1))
    inside = lows + rest
    is_heard = inside > LEAST_POWER
    is_narrow = is_heard & (beyond <= NARROWBAND_SHARE * inside + ROUNDING_POWER)
    ratio = lows.clamp(min=1e-30) / inside.clamp(min=LEAST_POWER)
    lows_db = (10.0 * torch.log10(ratio)).clamp(min=LEAST_DB)
    share = torch.ones_like(lows)
    for counts, values, (zero, one), unknown in (
        (is_heard, is_narrow.double(), NARROWBAND, 0.0),
        (is_narrow & ~is_speech, lows_db, QUIET_LOWS_DB[::-1], 1.0),
        (is_narrow & is_speech, lows_db, SPEECH_LOWS_DB[::-1], 1.0),
    ):
        both = torch.stack([torch.ones_like(values), values], dim=-1)
        count, total = _forgetting_sum(both, counts.double(), LINE_KEEP).unbind(dim=-1)
        ramp = ((total / count.clamp(min=1e-9) - zero) / (one - zero)).clamp(0.0, 1.0)
        share = share * torch.where(count > 0, ramp, unknown)
    return share
