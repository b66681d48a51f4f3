"""Voices without words or without a label of ours: a network may imitate what is heard of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SerLiveError
from train.corpora.known import Utterance
from train.corpora.layouts import NamedFiles

#: What an utterance without a label is called.
UNLABELLED = ""


@dataclass(frozen=True)
class Voices:
    """What is known of such recordings before they are read.

    Attributes:
        title: as their authors call them.
        licence: of the recordings.
        source: where to get them.
        layout: where they lie.
    """

    title: str
    licence: str
    source: str
    layout: NamedFiles


VOICES = {
    # 30 kinds of laughs, cries and sighs, by 357 people on microphones of their own. The kinds do
    # not follow the emotions of speech: nothing that CREMA-D teaches is right for them.
    "emogator": Voices(
        "EmoGator",
        "Apache-2.0",
        "https://github.com/fredbuhl/emogator",
        NamedFiles("data", r"(?P<speaker>\d{6})-(?P<emotion>\d\d)-\d+", "000182-13-3"),
    ),
}


def read_voices(name: str, corpora: Path) -> list[Utterance]:
    """Recordings of :data:`VOICES`, each with its speaker and :data:`UNLABELLED`.

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
