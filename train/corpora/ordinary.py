"""Ordinary speech: what people say to a machine, without an acted emotion or a label.

Most speech that a microphone picks up is of this kind. A part may be trained on, as hardly ever an
emotion. The rest is never trained on: one half is for validation, the other for testing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SerLiveError
from train.corpora.layouts import audio_files

#: Folder of the recordings within the corpora: commands and wake words in English, spoken by over a
#: hundred people on their own microphones (Picovoice's benchmarks, Apache-2.0).
FOLDER = "speech"
LICENCE = "Apache-2.0"
#: One recording in KEPT_ONE_IN is never trained on; one in JUDGED_ONE_IN of these is for testing.
KEPT_ONE_IN = 4
JUDGED_ONE_IN = 2


@dataclass(frozen=True)
class OrdinarySpeech:
    """Recordings of ordinary speech, split into disjoint parts.

    Attributes:
        train: to fit the weights.
        validation: to choose the everyday prior and the certainty that a label needs.
        test: to measure.
    """

    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    test: tuple[Path, ...]


def ordinary_speech(corpora: Path) -> OrdinarySpeech:
    """Split the recordings by file name alone, so that adding one moves no other.

    Raises:
        SerLiveError: there are none.
    """
    root = corpora / FOLDER
    paths = list(audio_files(root))
    if not paths:
        raise SerLiveError(
            f"no ordinary speech in {root}: unpack recordings without emotions there"
        )
    numbers = {path: zlib.crc32(path.stem.encode(errors="surrogateescape")) for path in paths}
    kept = [path for path, number in numbers.items() if number % KEPT_ONE_IN == 0]
    judged = [path for path in kept if numbers[path] // KEPT_ONE_IN % JUDGED_ONE_IN]
    return OrdinarySpeech(
        tuple(path for path in paths if numbers[path] % KEPT_ONE_IN),
        tuple(path for path in kept if path not in judged),
        tuple(judged),
    )


def is_at_hand(corpora: Path) -> bool:
    """Return whether there is any ordinary speech."""
    return any(audio_files(corpora / FOLDER))


def is_word(path: Path) -> bool:
    """Return whether a recording is a single wake word, not a sentence."""
    return "keywords" in path.parts


def commands(paths: Sequence[Path]) -> list[Path]:
    """Return the recordings that are whole sentences."""
    return [path for path in paths if not is_word(path)]
