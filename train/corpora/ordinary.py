"""Ordinary speech: what people say to a machine, without an acted emotion and without a label.

Most of what a microphone hears is of this kind. A part of it may be trained on, as hardly ever an
emotion; of the rest, which is never trained on, one half is to choose by, the other to judge by.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SerLiveError

#: Folder of the recordings below that of the corpora: commands and wake words in English, spoken by
#: over a hundred people on their own microphones (Picovoice's benchmarks, Apache-2.0).
FOLDER = "speech"
LICENCE = "Apache-2.0"
SUFFIXES = frozenset((".opus", ".flac", ".wav", ".ogg", ".mp3"))
#: One recording in so many is never trained on, and one in so many of these is to judge by.
KEPT_ONE_IN = 4
JUDGED_ONE_IN = 2


@dataclass(frozen=True)
class OrdinarySpeech:
    """Recordings by what they are used for; each is in one part.

    Attributes:
        train: to fit the weights.
        validation: to choose by: the everyday prior, and how sure a label must be.
        test: to judge by.
    """

    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    test: tuple[Path, ...]


def ordinary_speech(corpora: Path) -> OrdinarySpeech:
    """The recordings at hand, split by file name alone: one more or less moves no other.

    Raises:
        SerLiveError: there are none.
    """
    root = corpora / FOLDER
    paths = _recordings(corpora)
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


def _recordings(corpora: Path) -> list[Path]:
    found = (corpora / FOLDER).rglob("*")
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def is_at_hand(corpora: Path) -> bool:
    """Whether there is any ordinary speech."""
    return bool(_recordings(corpora))


def is_word(path: Path) -> bool:
    """Whether a recording is a single wake word, no sentence."""
    return "keywords" in path.parts


def commands(paths: Sequence[Path]) -> list[Path]:
    """Whole sentences among the recordings."""
    return [path for path in paths if not is_word(path)]
