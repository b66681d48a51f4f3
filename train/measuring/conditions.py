"""Test conditions for recordings: real noise, another level, another line."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from train.features.augment import active_rms, background, load_noises
from train.measuring.choices import Kind
from train.measuring.effects import DESCRIBED, EFFECTS, OF_VOICE

Float32 = NDArray[np.float32]

SNRS_DB = (20.0, 10.0, 5.0, 0.0)
GAINS_DB = (-30.0, -20.0, -10.0, 6.0, 12.0)


@dataclass(frozen=True)
class Condition:
    """Changes to a recording before it is heard, in this order.

    Attributes:
        snr_db: level of the speech over that of a background recording; None adds none.
        gain_db: change of level, clipped at full scale like a converter; 0 changes nothing.
        effect: name of one of :data:`train.measuring.effects.EFFECTS`; "" for none.
    """

    snr_db: float | None = None
    gain_db: float = 0.0
    effect: str = ""

    def __post_init__(self) -> None:
        for name, value in (("snr_db", self.snr_db), ("gain_db", self.gain_db)):
            if value is not None and not -100 <= value <= 100:
                raise ValueError(f"{name} must lie in [-100, 100], is {value}")
        if self.effect and self.effect not in EFFECTS:
            raise ValueError(f"effect must be one of {', '.join(EFFECTS)}, is {self.effect!r}")

    @property
    def described(self) -> str:
        """The condition in words."""
        words = []
        if self.snr_db is not None:
            words.append(f"background {self.snr_db:g} dB under the speech")
        if self.gain_db:
            words.append(f"gain {self.gain_db:+g} dB")
        if self.effect:
            words.append(DESCRIBED[self.effect])
        return ", ".join(words) or "as it is"

    @property
    def is_of_voice(self) -> bool:
        """Whether it changes the voice, and with it the length, and not what carries it."""
        return self.effect in OF_VOICE


CLEAN = Condition()
#: Kind of condition -> names of its effects.
EFFECT_KINDS: dict[Kind, tuple[str, ...]] = {
    "telephone": ("telephone",),
    "narrowband": ("narrowband",),
    "opus": ("opus",),
    "clipping": ("clipping",),
    "offset": ("offset",),
    "pitch": ("pitch +5", "pitch -5"),
    "tempo": ("tempo 1.25",),
    "far": ("far",),
}


def conditions_of(kinds: Sequence[Kind]) -> list[Condition]:
    """Return the conditions of some kinds; streams and profiles are none."""
    effects = [name for kind, names in EFFECT_KINDS.items() if kind in kinds for name in names]
    return [
        *(Condition(snr_db=db) for db in SNRS_DB if "snr" in kinds),
        *(Condition(gain_db=db) for db in GAINS_DB if "gain" in kinds),
        *(Condition(effect=name) for name in effects),
    ]


def heard_in(
    condition: Condition,
    samples: Float32,
    name: str,
    noise_root: Path,
    level: float | None = None,
) -> Float32:
    """Return the recording as a microphone picks it up in the condition.

    The level of the noise is its RMS. The name decides the noise and its start, so a recording gets
    the same noise at every ratio, independent of other recordings. Training noise is not used.

    Args:
        condition: the condition to apply.
        samples: ``(samples,)`` at 16 kHz.
        name: name of the recording.
        noise_root: folder of background recordings.
        level: level of the speech; None for :func:`~train.features.augment.active_rms` of the
            samples, which long pauses make too low.

    Raises:
        SerLiveError: noise is needed and there is none.
    """
    if condition.snr_db is not None:
        noises = load_noises(noise_root, "test")
        if not noises:
            raise SerLiveError(f"no background recordings for evaluation in {noise_root}")
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        spoken = active_rms(samples) if level is None else level
        loud = np.float32(spoken * 10.0 ** (-condition.snr_db / 20.0))
        samples = samples + background(len(samples), noises, generator) * loud
    if condition.gain_db:
        gain = np.float32(10.0 ** (condition.gain_db / 20.0))
        samples = np.clip(samples * gain, -1.0, 1.0)
        level = None if level is None else level * float(gain)
    if condition.effect:
        spoken = active_rms(samples) if level is None else level
        samples = EFFECTS[condition.effect](samples, name, noise_root, spoken)
    return samples
