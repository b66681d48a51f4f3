"""Readers of speech-emotion corpora in their official layouts, with any suffix soundfile reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SerLiveError

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".opus", ".ogg", ".mp3"})

#: What each corpus calls an emotion -> our name. A class that is not here is not read.
EMOTIONS: dict[str, dict[str, str]] = {
    "cremad": {
        "ANG": "angry",
        "HAP": "happy",
        "NEU": "neutral",
        "SAD": "sad",
        "DIS": "disgust",
        "FEA": "fear",
    },
    "ravdess": {
        "01": "neutral",
        "02": "calm",
        "03": "happy",
        "04": "sad",
        "05": "angry",
        "06": "fear",
        "07": "disgust",
        "08": "surprise",
    },
    "nemo": {
        "anger": "angry",
        "happiness": "happy",
        "neutral": "neutral",
        "sadness": "sad",
        "fear": "fear",
        "surprised": "surprise",
    },
}

#: Licence of each corpus, and where to get it.
SOURCES: dict[str, tuple[str, str]] = {
    "cremad": ("ODbL-1.0", "https://github.com/CheyneyComputerScience/CREMA-D"),
    "ravdess": ("CC-BY-NC-SA-4.0", "https://zenodo.org/records/1188976"),
    "nemo": ("CC-BY-NC-SA-4.0", "https://github.com/amu-cai/nEMO"),
}


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled recording.

    Attributes:
        path: audio file.
        label: emotion, in our names.
        speaker: unique within the corpus.
        corpus: key of :data:`SOURCES`.
    """

    path: Path
    label: str
    speaker: str
    corpus: str


def _audio_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES)


def _cremad(root: Path) -> Iterator[tuple[Path, str, str]]:
    for path in _audio_files(root / "AudioWAV"):
        speaker, _sentence, emotion, _intensity = path.stem.split("_")
        yield path, emotion, speaker


def _ravdess(root: Path) -> Iterator[tuple[Path, str, str]]:
    for path in _audio_files(root):
        fields = path.stem.split("-")
        if fields[0] == "03" and fields[1] == "01":  # audio only, speech
            yield path, fields[2], fields[6]


def _nemo(root: Path) -> Iterator[tuple[Path, str, str]]:
    for path in _audio_files(root / "samples"):
        speaker, emotion, _sentence = path.stem.split("_")
        yield path, emotion, speaker


_READERS: dict[str, Callable[[Path], Iterator[tuple[Path, str, str]]]] = {
    "cremad": _cremad,
    "ravdess": _ravdess,
    "nemo": _nemo,
}


def read_corpus(name: str, corpora: Path, labels: Iterable[str]) -> list[Utterance]:
    """Utterances of the corpus in the folder ``corpora / name`` that carry one of the labels.

    Raises:
        SerLiveError: the name is unknown, or nothing of the corpus is in the folder.
    """
    if name not in _READERS:
        raise SerLiveError(f"unknown corpus {name!r}: known are {', '.join(_READERS)}")
    root = corpora / name
    wanted = set(labels)
    emotions = EMOTIONS[name]
    found = [
        Utterance(path, emotions[emotion], speaker, name)
        for path, emotion, speaker in _READERS[name](root)
        if emotions.get(emotion) in wanted
    ]
    if not found:
        raise SerLiveError(f"no {name} recordings in {root}: get the corpus at {SOURCES[name][1]}")
    return found
