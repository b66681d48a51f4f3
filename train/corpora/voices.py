"""Recordings of voices without words or labels, for imitation only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SerLiveError
from train.corpora.known import Utterance
from train.corpora.layouts import NamedFiles

#: Label of an unlabelled utterance.
UNLABELLED = ""


@dataclass(frozen=True)
class Voices:
    """The known facts of such recordings.

    Attributes:
        title: their authors' name for them.
        licence: licence of the recordings.
        source: where to get them.
        layout: layout of the files.
    """

    title: str
    licence: str
    source: str
    layout: NamedFiles


VOICES = {
    # 30 kinds of laughs, cries and sighs, by 357 people on their own microphones. The kinds do not
    # match the emotions of speech, so CREMA-D's labels do not apply to them.
    "emogator": Voices(
        "EmoGator",
        "Apache-2.0",
        "https://github.com/fredbuhl/emogator",
        NamedFiles("data", r"(?P<speaker>\d{6})-(?P<emotion>\d\d)-\d+", "000182-13-3"),
    ),
}


def read_voices(name: str, corpora: Path) -> list[Utterance]:
    """Read recordings of :data:`VOICES`, each with its speaker and :data:`UNLABELLED`.

    Raises:
        SerLiveError: there are none, or files do not fit the layout.
    """
    voices = VOICES[name]
    root = corpora / name
    found = [
        Utterance(clip.path, UNLABELLED, clip.speaker, name) for clip in voices.layout.clips(root)
    ]
    if not found:
        raise SerLiveError(
            f"no {voices.title} recordings in {root}, such as {voices.layout.expected}: "
            f"get them at {voices.source}"
        )
    return found
