"""Effects of lines, converters, rooms and voices on speech, for recordings at 16 kHz.

Each is deterministic per recording, independent of other recordings. Backgrounds and levels alone
are in :mod:`train.measuring.conditions`.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy import signal

from streamer.errors import SerLiveError
from streamer.signal import SAMPLE_RATE
from train.features.augment import EPSILON, active_rms, background, load_noises, synthetic_room

Float32 = NDArray[np.float32]
#: ``effect(samples, name of the recording, folder of background recordings, level of the speech)``.
Effect = Callable[[Float32, str, Path, float], Float32]

TELEPHONE_RATE = 8_000
TELEPHONE_BAND_HZ = (300.0, 3_400.0)
#: libsndfile's compression level for 12 kbit/s: 0 is 256 kbit/s, 1 is 6.
OPUS_COMPRESSION = 0.972
#: Level of clipped speech (:func:`~train.features.augment.active_rms`), 6 dB over full scale: a
#: quarter of the samples clips.
CLIPPED_SPEECH_RMS = 2.0
#: Offset of a converter, and the gain of the speech, that of a quiet microphone.
OFFSET = 0.02
OFFSET_GAIN = 0.25
SEMITONES = 5.0
TEMPO = 1.25
#: Level of a far speaker relative to the recording, and of the noise relative to the speaker.
FAR_GAIN_DB = -10.0
FAR_SNR_DB = 15.0
#: Seed of far speakers' rooms, which training does not use.
FAR_SEED = 11

#: Length of the overlapping pieces of :func:`stretch`, and its search range.
_PIECE_SAMPLES = 512
_SEARCH_SAMPLES = 160


def telephone(samples: Float32) -> Float32:
    """Apply an old telephone line: 300 to 3400 Hz at 8 kHz, 8-bit mu-law (G.711)."""
    band = signal.butter(4, TELEPHONE_BAND_HZ, "bandpass", fs=TELEPHONE_RATE, output="sos")
    narrow = signal.sosfilt(band, _at_8_khz(samples)).clip(-1.0, 1.0)
    return _back(_coded(narrow, TELEPHONE_RATE, "WAV", "ULAW"), len(samples))


def narrowband(samples: Float32) -> Float32:
    """Sample at 8 kHz, which cuts off the band over 4 kHz and nothing else."""
    return _back(_at_8_khz(samples), len(samples))


def _at_8_khz(samples: Float32) -> Float32:
    return np.asarray(soxr.resample(samples, SAMPLE_RATE, TELEPHONE_RATE))


def _back(narrow: Float32, length: int) -> Float32:
    """Return samples at 8 kHz at 16 kHz, as many as there were."""
    return _of_length(soxr.resample(narrow, TELEPHONE_RATE, SAMPLE_RATE), length)


def opus(samples: Float32) -> Float32:
    """Apply a poor internet call: Opus, 16 kHz, 12 kbit/s."""
    coded = _coded(samples.clip(-1.0, 1.0), SAMPLE_RATE, "OGG", "OPUS", OPUS_COMPRESSION)
    return _of_length(coded, len(samples))


def _coded(
    samples: NDArray[np.floating],
    rate: int,
    container: str,
    codec: str,
    compression: float | None = None,
) -> Float32:
    """Encode and decode with one of soundfile's codecs, in memory."""
    file = io.BytesIO()
    soundfile.write(
        file, samples, rate, format=container, subtype=codec, compression_level=compression
    )
    file.seek(0)
    decoded: Float32 = soundfile.read(file, dtype="float32")[0]
    return decoded


def clipping(samples: Float32, level: float) -> Float32:
    """Apply far too much gain: speech is 6 dB over full scale, and a quarter of it clips."""
    gain = CLIPPED_SPEECH_RMS / level if samples.any() else 1.0
    return (samples * np.float32(gain)).clip(-1.0, 1.0)


def offset(samples: Float32) -> Float32:
    """Apply a quiet microphone, -12 dB, and a converter offset of 2 % of full scale."""
    return (samples * np.float32(OFFSET_GAIN) + np.float32(OFFSET)).clip(-1.0, 1.0)


def pitch(samples: Float32, semitones: float) -> Float32:
    """Change pitch and vocal tract but not the tempo."""
    ratio = 2.0 ** (semitones / 12.0)
    longer = stretch(samples, ratio)
    return _of_length(soxr.resample(longer, SAMPLE_RATE * ratio, SAMPLE_RATE), len(samples))


def tempo(samples: Float32, times: float) -> Float32:
    """Speed up by a factor at the same pitch."""
    return stretch(samples, 1.0 / times)


def stretch(samples: Float32, times: float) -> Float32:
    """Lengthen by a factor at the same pitch, by overlapping matching pieces (WSOLA).

    Each piece of 32 ms comes from within 10 ms of its nominal place, where it best matches the
    continuation of the previous one.
    """
    hop = _PIECE_SAMPLES // 2
    window = np.hanning(_PIECE_SAMPLES + 1)[:-1].astype(np.float32)
    length = round(len(samples) * times)
    margin = np.zeros(_PIECE_SAMPLES + 2 * _SEARCH_SAMPLES + hop, np.float32)
    padded = np.concatenate([margin, samples, margin])
    made = np.zeros(length + 2 * _PIECE_SAMPLES, np.float32)
    at = len(margin) - hop
    for start in range(0, length + hop, hop):
        target = len(margin) - hop + round(start / times)
        if start:
            follows = padded[at + hop : at + hop + _PIECE_SAMPLES]
            first = min(target, len(padded) - _PIECE_SAMPLES - _SEARCH_SAMPLES) - _SEARCH_SAMPLES
            around = padded[first : first + 2 * _SEARCH_SAMPLES + _PIECE_SAMPLES]
            at = first + _likest(around, follows)
        made[start : start + _PIECE_SAMPLES] += window * padded[at : at + _PIECE_SAMPLES]
    return made[hop : hop + length]


def _likest(around: Float32, piece: Float32) -> int:
    """Return the index of the best normalised correlation of the piece with the samples."""
    energy = np.cumsum(np.concatenate([[0.0], around.astype(np.float64) ** 2]))
    energy = energy[len(piece) :] - energy[: -len(piece)]
    likeness = np.correlate(around, piece, "valid") / np.sqrt(energy + EPSILON)
    return int(likeness.argmax()) if likeness.any() else _SEARCH_SAMPLES


def far(samples: Float32, name: str, noise_root: Path, level: float) -> Float32:
    """Move the speaker across a room: reverberation, 10 dB quieter, noise 15 dB below.

    The room is synthetic, like those of training but not one of them; training may use the measured
    rooms.

    Raises:
        SerLiveError: there are no background recordings.
    """
    noises = load_noises(noise_root, "test")
    if not noises:
        raise SerLiveError(f"no background recordings for evaluation in {noise_root}")
    generator = np.random.default_rng([FAR_SEED, zlib.crc32(name.encode())])
    heard = signal.fftconvolve(samples, synthetic_room(generator))[: len(samples)]
    gain = 10.0 ** (FAR_GAIN_DB / 20.0)
    heard = heard * (gain * active_rms(samples) / active_rms(heard.astype(np.float32)))
    noise = background(len(samples), noises, generator)
    return np.asarray(heard + noise * gain * level * 10.0 ** (-FAR_SNR_DB / 20.0), np.float32)


def _of_length(samples: NDArray[np.floating], length: int) -> Float32:
    """Cut or pad with zeros, so that the length stays the same."""
    filled = np.zeros(length, np.float32)
    kept = samples[:length]
    filled[: len(kept)] = kept
    return filled


def _alone(change: Callable[[Float32], Float32]) -> Effect:
    """Make an effect that needs only the recording."""
    return lambda samples, _name, _noise_root, _level: change(samples)


#: Effects by name.
EFFECTS: dict[str, Effect] = {
    "telephone": _alone(telephone),
    "narrowband": _alone(narrowband),
    "opus": _alone(opus),
    "clipping": lambda samples, _name, _noise_root, level: clipping(samples, level),
    "offset": _alone(offset),
    "pitch +5": _alone(lambda samples: pitch(samples, SEMITONES)),
    "pitch -5": _alone(lambda samples: pitch(samples, -SEMITONES)),
    "tempo 1.25": _alone(lambda samples: tempo(samples, TEMPO)),
    "far": far,
}
#: Effects that change the voice and not what carries it.
OF_VOICE = ("pitch +5", "pitch -5", "tempo 1.25")
#: What tables call the effects.
DESCRIBED: dict[str, str] = {
    "telephone": "telephone: 300 to 3400 Hz, 8 kHz, mu-law",
    "narrowband": "sampled at 8 kHz",
    "opus": "Opus, 12 kbit/s",
    "clipping": "clipped: speech 6 dB over full scale",
    "offset": "gain -12 dB, offset of 2 %",
    "pitch +5": "pitch 5 semitones up",
    "pitch -5": "pitch 5 semitones down",
    "tempo 1.25": "tempo 1.25",
    "far": "far: made room, -10 dB, noise 15 dB under",
}
