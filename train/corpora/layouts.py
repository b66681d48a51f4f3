"""Official layouts of the corpora: folders, file names and label files."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from streamer.errors import SerLiveError
from streamer.sound.files.recording import SOUND_SUFFIXES


class Clip(NamedTuple):
    """A recording with its description, in the corpus's own codes.

    Attributes:
        path: audio file.
        emotion: the corpus's emotion code.
        speaker: unique within the corpus.
        session: recording session, "" if the corpus has none.
    """

    path: Path
    emotion: str
    speaker: str
    session: str = ""


def audio_files(folder: Path, suffixes: Collection[str] = SOUND_SUFFIXES) -> Iterator[Path]:
    """Yield audio files at any depth, sorted, without hidden ones (macOS adds ``._name.wav``).

    Args:
        folder: where they lie; it need not exist.
        suffixes: suffixes of audio files, in lower case.

    Raises:
        SerLiveError: a folder cannot be looked into.
    """
    if not folder.is_dir():
        return
    walked = os.walk(folder, onerror=_refuse)
    for path in sorted(Path(parent, name) for parent, _, names in walked for name in names):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in suffixes and not hidden:
            yield path


def _refuse(error: OSError) -> None:
    raise SerLiveError(f"cannot look into {error.filename}: {error.strerror}") from error


@dataclass(frozen=True)
class NamedFiles:
    """A layout in which file names hold speaker and emotion.

    Attributes:
        folder: subfolder of the recordings; "" for the whole corpus.
        name: pattern of a file name without suffix, with groups ``speaker`` and ``emotion``.
        example: a name that matches.
        passed_over: pattern of names that belong to the corpus but are skipped.
    """

    folder: str
    name: str
    example: str
    passed_over: str = "(?!)"

    @property
    def expected(self) -> str:
        """An example path of a recording, for messages."""
        return str(Path(self.folder) / f"{self.example}.wav")

    def clips(self, root: Path) -> Iterator[Clip]:
        """Yield the recordings of the corpus unpacked to ``root``.

        Raises:
            SerLiveError: the names of some audio files do not fit the layout.
        """
        strays = []
        for path in audio_files(root / self.folder):
            if found := re.fullmatch(self.name, path.stem):
                yield Clip(path, found["emotion"], found["speaker"])
            elif not re.fullmatch(self.passed_over, path.stem):
                strays.append(path)
        if strays:
            others = f" and {len(strays) - 1} more" if len(strays) > 1 else ""
            raise SerLiveError(
                f"{strays[0]}{others}: no names of this corpus, which look like {self.example}; "
                "take them out of the folder or put their names right"
            )


#: A line of an IEMOCAP evaluation file, for instance
#: ``[6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]``.
#: The letter after ``Ses01`` names the actor wearing the markers; the last field names the speaker.
_EVALUATION = re.compile(
    r"\[[\d.]+ - [\d.]+\]\s+"
    r"(?P<utterance>(?P<session>Ses0\d)[FM]_\w+_(?P<gender>[FM])\w+)\s+"
    r"(?P<emotion>[a-z]{3})\s+\["
)


class EvaluatedDialogs:
    """IEMOCAP's layout: five sessions, each with recordings and evaluation files by dialog."""

    expected = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"

    def clips(self, root: Path) -> Iterator[Clip]:
        """Yield the recordings at ``root``, or in the one folder its archive unpacks to.

        Raises:
            SerLiveError: an evaluation line cannot be parsed, or its recording is missing.
        """
        for session in sorted(root.glob("Session?")) or sorted(root.glob("*/Session?")):
            recordings = {path.stem: path for path in audio_files(session / "sentences" / "wav")}
            for evaluation in sorted((session / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
                yield from self._dialog(evaluation, recordings)

    def _dialog(self, evaluation: Path, recordings: dict[str, Path]) -> Iterator[Clip]:
        lines = evaluation.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            if not line.startswith("["):
                continue
            found = _EVALUATION.match(line)
            if found is None:
                raise SerLiveError(f"{evaluation} line {number}: not understood: {line}")
            path = recordings.get(found["utterance"])
            if path is None:
                raise SerLiveError(
                    f"{evaluation} line {number}: the recording {found['utterance']} is missing"
                )
            session = found["session"]
            yield Clip(path, found["emotion"], session + found["gender"], session)
