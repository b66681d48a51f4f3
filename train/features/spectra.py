"""The runtime's front end for batches, in torch; a test checks that both are equal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from streamer.recognition.normaliser import (
    FIRST_BIN_BEYOND,
    LOW_BINS,
    NARROWBAND_SHARE,
    QUIET_LOWS_DB,
    SPEECH_LOWS_DB,
    Normaliser,
)
from streamer.recognition.spectra import LOWEST_BIN, SILENT_POWER
from streamer.signal import (
    FRAME_SAMPLES,
    FRAME_TAIL_SAMPLES,
    FRAMES_PER_TIMESTEP,
    FREQUENCY_BINS,
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
    prior = _prior(total, _forgetting_sum(_bands(mean), 1.0 - is_speech, keep), normaliser)
    n0 = normaliser.prior_timesteps
    reference = (n0 * level[..., None] * prior + total) / (n0 + count)[..., None]
    floor = 10.0 ** (normaliser.floor_db / 10.0)
    gain = (1.0 / (floor * reference + SILENT_POWER)).float()
    return torch.log1p(power * gain[:, :, None, :]).mul_(1.0 / math.log1p(1.0 / floor))


def _forgetting_sum(values: Tensor, counts: Tensor, keep: float) -> Tensor:
    """Sum values ``(batch, timesteps, n)`` where ``counts`` is one, as the runtime does.

    In closed form: each term decays by the later timesteps that count.
    """
    counted = counts.cumsum(dim=1)
    weight = (keep**-counted * counts)[..., None]
    return (keep**counted)[..., None] * (values * weight).cumsum(dim=1)


def _prior(total: Tensor, quiet: Tensor, normaliser: Normaliser) -> Tensor:
    """Compute ``Normaliser.prior``, ``(batch, timesteps, 201)``."""
    wide, narrow = (
        torch.from_numpy(one).to(total.device)
        for one in (normaliser.prior_spectrum, normaliser.telephone_spectrum)
    )
    speech = _bands(total)
    both = speech + quiet
    is_narrow = both[..., 2] < NARROWBAND_SHARE * both[..., :2].sum(dim=-1)
    share = is_narrow * _cut(quiet, QUIET_LOWS_DB) * _cut(speech, SPEECH_LOWS_DB)
    return wide + share[..., None] * (narrow - wide)


def _bands(power: Tensor) -> Tensor:
    sizes = [LOW_BINS, FIRST_BIN_BEYOND - LOW_BINS, FREQUENCY_BINS - FIRST_BIN_BEYOND]
    return torch.stack([one.sum(dim=-1) for one in torch.split(power, sizes, dim=-1)], dim=-1)


def _cut(bands: Tensor, range_db: tuple[float, float]) -> Tensor:
    level = bands.sum(dim=-1)
    least, most = range_db
    lows_db = 10.0 * torch.log10(bands[..., 0].clamp(min=1e-30) / level.clamp(min=SILENT_POWER))
    share = ((most - lows_db) / (most - least)).clamp(0.0, 1.0)
    return torch.where(level > SILENT_POWER, share, torch.ones_like(share))
