"""A sound that is found again: a short sweep, and its place in a signal by cross-correlation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamer.audio import Float32

CHIRP_S = 0.08
#: Small loudspeakers and microphones carry this band; lower sample rates carry part of it.
LOWEST_HZ, HIGHEST_HZ = 500.0, 6_000.0
#: Share of the sample rate up to which converters and resamplers are flat.
BAND = 0.4
#: -14 dBFS: to be heard across a desk, not to startle.
AMPLITUDE = 0.2
#: A chirp is found where the correlation stands this far above its own root mean square around.
#: Noise that knows nothing of the chirp gets there once in exp(64) times.
FOUND_FROM = 8.0


class Found(NamedTuple):
    """Where a chirp begins.

    Attributes:
        position: in samples, with a fraction.
        strength: height of the correlation over its root mean square elsewhere.
    """

    position: float
    strength: float


def chirp(sample_rate: int, lowest_rate: int) -> Float32:
    """A linear sweep under a Hann window, ``(samples,)``.

    Args:
        sample_rate: of the result, in Hz.
        lowest_rate: of all it passes through, in Hz; it bounds the band.
    """
    times = np.arange(round(CHIRP_S * sample_rate)) / sample_rate
    highest = min(HIGHEST_HZ, BAND * lowest_rate)
    rise = (highest - LOWEST_HZ) / CHIRP_S
    sweep = np.sin(2.0 * np.pi * (LOWEST_HZ + 0.5 * rise * times) * times)
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * times / CHIRP_S)
    return np.asarray(AMPLITUDE * window * sweep, np.float32)


def find_chirp(signal: Float32, wanted: Float32) -> Found | None:
    """The likeliest place of a chirp in a signal, None where it stands out too little.

    The envelope of the correlation is what is searched: rooms and converters turn the phase. A
    parabola through its logarithm gives the fraction of a sample.

    Args:
        signal: ``(samples,)``, longer than the chirp by three samples at least.
        wanted: ``(chirp samples,)`` at the same rate.
    """
    lags = len(signal) - len(wanted) + 1
    size = 1 << (len(signal) + len(wanted)).bit_length()
    spectrum = np.fft.rfft(signal, size) * np.conj(np.fft.rfft(wanted, size))
    analytic = np.zeros(size, np.complex128)
    analytic[: len(spectrum)] = spectrum
    envelope = np.abs(np.fft.ifft(analytic)[:lags])
    peak = 1 + int(envelope[1:-1].argmax())
    if not envelope[peak]:
        return None
    around = slice(max(0, peak - len(wanted)), peak + len(wanted))
    elsewhere = np.delete(envelope, around)
    # Rounding to 16 bits at least is noise, where the signal is the chirp and nothing else.
    background = max(float(np.sqrt(np.mean(elsewhere**2))) if len(elsewhere) else 0.0, 1e-9)
    strength = float(envelope[peak]) / background
    if strength < FOUND_FROM:
        return None
    before, top, after = np.log(np.maximum(envelope[peak - 1 : peak + 2], 1e-30))
    curvature = before - 2.0 * top + after
    fraction = 0.5 * (before - after) / curvature if curvature else 0.0
    return Found(peak + float(np.clip(fraction, -0.5, 0.5)), strength)
