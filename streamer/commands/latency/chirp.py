"""A sound that is found again: a short sweep, and its place in a signal by cross-correlation."""

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
#: -14 dBFS: to be heard across a desk, not to startle.
AMPLITUDE = 0.2
#: A chirp is found where the signal is at least as similar to it; 1 is the chirp itself. A chirp
#: 8 dB under the noise of its band still is; of a second of noise or speech nothing gets near.
FOUND_FROM = 0.35
#: A signal under this level (-80 dBFS) holds nothing, whatever its shape.
QUIETEST_RMS = 1e-4


class Found(NamedTuple):
    """Where a chirp begins.

    Attributes:
        position: in samples, with a fraction.
        similarity: of the signal there with the chirp, 0 to 1.
    """

    position: float
    similarity: float


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
    """The likeliest place of a chirp in a signal, None where nothing is similar enough.

    What is searched is the envelope of the cross-correlation, because rooms and converters turn
    the phase, over the energy of the signal at the same place, so that loud noise elsewhere does
    not count; both within the band of the chirp. A parabola gives the fraction of a sample.

    Args:
        signal: ``(samples,)``, longer than the chirp by two samples at least.
        wanted: ``(chirp samples,)`` at the same rate.
    """
    size = 1 << (len(signal) + len(wanted)).bit_length()
    # Sums over a long signal cancel: in float32 too little is left of its quiet parts.
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
    """Magnitude of the analytic signal that belongs to a real one's half spectrum."""
    analytic = np.zeros(size, np.complex128)
    analytic[: len(spectrum)] = 2.0 * spectrum
    return np.abs(np.fft.ifft(analytic))
