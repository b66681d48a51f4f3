"""A sound for measurements: a short sweep, located in a signal by cross-correlation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamer.sound.source import Float32

CHIRP_S = 0.08
#: Small loudspeakers and microphones carry this band; lower sample rates carry part of it.
LOWEST_HZ, HIGHEST_HZ = 500.0, 6_000.0
#: Share of the sample rate up to which converters and resamplers are flat.
BAND = 0.4
#: -14 dBFS: audible across a desk, but not startling.
AMPLITUDE = 0.2
#: Least similarity of the signal to the chirp, which itself has 1. A chirp 8 dB below the noise of
#: its band reaches it; a second of noise or speech comes nowhere near.
FOUND_FROM = 0.35
#: A signal below this level (-80 dBFS) holds nothing, whatever its shape.
QUIETEST_RMS = 1e-4


class Found(NamedTuple):
    """The start of a chirp.

    Attributes:
        position: in samples, with a fraction.
        similarity: similarity of the signal there to the chirp, 0 to 1.
    """

    position: float
    similarity: float


def chirp(sample_rate: int, lowest_rate: int) -> Float32:
    """Return a linear sweep under a Hann window, ``(samples,)``.

    Args:
        sample_rate: rate of the result, in Hz.
        lowest_rate: lowest rate that it passes through, in Hz; it limits the band.
    """
    times = np.arange(round(CHIRP_S * sample_rate)) / sample_rate
    highest = min(HIGHEST_HZ, BAND * lowest_rate)
    rise = (highest - LOWEST_HZ) / CHIRP_S
    sweep = np.sin(2.0 * np.pi * (LOWEST_HZ + 0.5 * rise * times) * times)
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * times / CHIRP_S)
    return np.asarray(AMPLITUDE * window * sweep, np.float32)


def find_chirp(signal: Float32, wanted: Float32) -> Found | None:
    """Find the likeliest place of a chirp in a signal, None if nothing is similar enough.

    The search takes the envelope of the cross-correlation, because rooms and converters shift the
    phase, divided by the signal's energy at the same place, so that loud noise elsewhere does not
    count; both within the chirp's band. A parabola gives the fraction of a sample.

    Args:
        signal: ``(samples,)``, at least two samples longer than the chirp.
        wanted: ``(chirp samples,)`` at the same rate.
    """
    size = 1 << (len(signal) + len(wanted)).bit_length()
    # Sums over a long signal cancel: float32 would keep too little of its quiet parts.
    pattern = np.fft.rfft(wanted.astype(np.float64), size)
    in_band = np.abs(pattern) > 0.05 * np.abs(pattern).max()
    spectrum = np.fft.rfft(signal.astype(np.float64), size) * in_band
    envelope = _envelope(spectrum * np.conj(pattern), size)
    energy = np.cumsum(np.fft.irfft(spectrum, size)[: len(signal)] ** 2)
    energy = energy[len(wanted) - 1 :] - np.concatenate([[0.0], energy[: -len(wanted)]])
    energy = np.maximum(energy, len(wanted) * QUIETEST_RMS**2)
    similarity = envelope[: len(energy)] / np.sqrt(energy * np.sum(wanted**2, dtype=np.float64))
    peak = 1 + int(similarity[1:-1].argmax())
    before, top, after = similarity[peak - 1 : peak + 2]
    if top < FOUND_FROM:
        return None
    curvature = before - 2.0 * top + after
    fraction = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return Found(peak + float(np.clip(fraction, -0.5, 0.5)), float(top))


def _envelope(spectrum: NDArray[np.complex128], size: int) -> NDArray[np.float64]:
    """Return the magnitude of the analytic signal for a real signal's half spectrum."""
    analytic = np.zeros(size, np.complex128)
    analytic[: len(spectrum)] = 2.0 * spectrum
    return np.abs(np.fft.ifft(analytic))
