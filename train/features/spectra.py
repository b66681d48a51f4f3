"""The runtime's front end for batches, in torch; a test checks that both are equal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from streamer.recognition.normaliser import Normaliser
from streamer.recognition.spectra import LOWEST_BIN, SILENT_POWER
from streamer.signal import FRAME_SAMPLES, FRAME_TAIL_SAMPLES, FRAMES_PER_TIMESTEP, HOP_SAMPLES


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
    heard = is_speech.cumsum(dim=1)
    keep = math.exp(-1.0 / normaliser.memory_timesteps)
    # The decaying sum in closed form: each term decays by the timesteps of speech after it.
    weight = (keep**-heard * is_speech)[..., None]
    total = (keep**heard)[..., None] * (mean * weight).cumsum(dim=1)
    count = keep**heard * weight[..., 0].cumsum(dim=1)
    loudest = mean.sum(dim=2).cummax(dim=1).values
    level = torch.where(heard > 0, total.sum(dim=2) / count.clamp(min=1e-9), loudest)
    prior = torch.from_numpy(normaliser.prior_spectrum).to(power.device)
    n0 = normaliser.prior_timesteps
    reference = (n0 * level[..., None] * prior + total) / (n0 + count)[..., None]
    floor = 10.0 ** (normaliser.floor_db / 10.0)
    gain = (1.0 / (floor * reference + SILENT_POWER)).float()
    return torch.log1p(power * gain[:, :, None, :]).mul_(1.0 / math.log1p(1.0 / floor))
