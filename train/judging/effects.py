"""What lines, converters, rooms and voices do to speech, as functions of a recording at 16 kHz.

Each is the same for the same recording, whatever else is heard. The rest of what a recording may
meet, backgrounds and levels alone, is in :mod:`train.judging.conditions`.
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
#: ``effect(samples, name of the recording, folder of background recordings)``.
Effect = Callable[[Float32, str, Path], Float32]

TELEPHONE_RATE = 8_000
TELEPHONE_BAND_HZ = (300.0, 3_400.0)
#: libsndfile's compression that gives 12 kbit/s: 0 is 256 kbit/s, 1 is 6.
OPUS_COMPRESSION = 0.972
#: Level of speech (:func:`~train.features.augment.active_rms`) that is clipped, 6 dB over full
#: scale: a quarter of the samples is cut off.
CLIPPED_SPEECH_RMS = 2.0
#: Offset of a converter, and the gain of the speech beside it: a quiet microphone's.
OFFSET = 0.02
OFFSET_GAIN = 0.25
SEMITONES = 5.0
TEMPO = 1.25
#: Level of a far speaker against the recording's own, and of the noise under him.
FAR_GAIN_DB = -10.0
FAR_SNR_DB = 15.0
#: Of the rooms of far speakers, in which nothing is trained.
FAR_SEED = 11

#: Overlapping pieces of :func:`stretch`, and how far it looks for the likest one.
_PIECE_SAMPLES = 512
_SEARCH_SAMPLES = 160


def telephone(samples: Float32) -> Float32:
    """A line of old: 300 to 3400 Hz at 8 kHz, 8 bits of mu-law (G.711), and back to 16 kHz."""
    narrow = soxr.resample(samples, SAMPLE_RATE, TELEPHONE_RATE)
    band = signal.butter(4, TELEPHONE_BAND_HZ, "bandpass", fs=TELEPHONE_RATE, output="sos")
    heard = signal.sosfilt(band, narrow).clip(-1.0, 1.0)
    coded = _coded(heard, TELEPHONE_RATE, "WAV", "ULAW")
    return _of_length(soxr.resample(coded, TELEPHONE_RATE, SAMPLE_RATE), len(samples))


def opus(samples: Float32) -> Float32:
    """A call over the internet on a poor line: Opus, 16 kHz, 12 kbit/s."""
    coded = _coded(samples.clip(-1.0, 1.0), SAMPLE_RATE, "OGG", "OPUS", OPUS_COMPRESSION)
    return _of_length(coded, len(samples))


def _coded(
    samples: NDArray[np.floating],
    rate: int,
    container: str,
    codec: str,
    compression: float | None = None,
) -> Float32:
    """Through a codec of soundfile's and back, in memory."""
    file = io.BytesIO()
    soundfile.write(
        file, samples, rate, format=container, subtype=codec, compression_level=compression
    )
    file.seek(0)
    decoded: Float32 = soundfile.read(file, dtype="float32")[0]
    return decoded


def clipping(samples: Float32) -> Float32:
    """A microphone turned up far too far: speech 6 dB over full scale, a quarter of it cut off."""
    gain = CLIPPED_SPEECH_RMS / active_rms(samples) if samples.any() else 1.0
    return (samples * np.float32(gain)).clip(-1.0, 1.0)


def offset(samples: Float32) -> Float32:
    """A quiet microphone, -12 dB, at a converter whose zero lies 2 % of full scale off."""
    return (samples * np.float32(OFFSET_GAIN) + np.float32(OFFSET)).clip(-1.0, 1.0)


def pitch(samples: Float32, semitones: float) -> Float32:
    """Another pitch and another vocal tract at the same tempo."""
    ratio = 2.0 ** (semitones / 12.0)
    longer = stretch(samples, ratio)
    return _of_length(soxr.resample(longer, SAMPLE_RATE * ratio, SAMPLE_RATE), len(samples))


def tempo(samples: Float32, times: float) -> Float32:
    """So many times as fast at the same pitch."""
    return stretch(samples, 1.0 / times)


def stretch(samples: Float32, times: float) -> Float32:
    """So many times as long at the same pitch: overlapped pieces that fit one another (WSOLA).

    Each piece of 32 ms is taken within 10 ms of where it should be, where it is likest to what
    followed the one before.
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
    """Where in the samples the piece correlates best with what is there, whatever its level."""
    energy = np.cumsum(np.concatenate([[0.0], around.astype(np.float64) ** 2]))
    energy = energy[len(piece) :] - energy[: -len(piece)]
    likeness = np.correlate(around, piece, "valid") / np.sqrt(energy + EPSILON)
    return int(likeness.argmax()) if likeness.any() else _SEARCH_SAMPLES


def far(samples: Float32, name: str, noise_root: Path) -> Float32:
    """A speaker across a room: reverberation, 10 dB down, noise 15 dB under.

    The room is made, of the kind that training makes, and none of those: what is measured may have
    been trained in.

    Raises:
        SerLiveError: there are no background recordings.
    """
    noises = load_noises(noise_root, "test")
    if not noises:
        raise SerLiveError(f"no background recordings for evaluation in {noise_root}")
    generator = np.random.default_rng([FAR_SEED, zlib.crc32(name.encode())])
    heard = signal.fftconvolve(samples, synthetic_room(generator))[: len(samples)]
    level = active_rms(samples) * 10.0 ** (FAR_GAIN_DB / 20.0)
    heard = heard * (level / active_rms(heard.astype(np.float32)))
    noise = background(len(samples), noises, generator)
    return np.asarray(heard + noise * level * 10.0 ** (-FAR_SNR_DB / 20.0), np.float32)


def _of_length(samples: NDArray[np.floating], length: int) -> Float32:
    """Cut or filled with zeros, so that time stays what it was."""
    filled = np.zeros(length, np.float32)
    kept = samples[:length]
    filled[: len(kept)] = kept
    return filled


def _alone(change: Callable[[Float32], Float32]) -> Effect:
    """An effect that needs no more than the recording."""
    return lambda samples, _name, _noise_root: change(samples)


#: By the name that a table shows.
EFFECTS: dict[str, Effect] = {
    "telephone": _alone(telephone),
    "opus": _alone(opus),
    "clipping": _alone(clipping),
    "offset": _alone(offset),
    "pitch +5": _alone(lambda samples: pitch(samples, SEMITONES)),
    "pitch -5": _alone(lambda samples: pitch(samples, -SEMITONES)),
    "tempo 1.25": _alone(lambda samples: tempo(samples, TEMPO)),
    "far": far,
}
