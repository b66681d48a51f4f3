"""The user's own recordings: a folder of class folders, or a CSV table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streamer.errors import SerLiveError
from streamer.formats.label_table import labelled_files
from streamer.sound.files.media import MEDIA_SUFFIXES
from streamer.sound.files.recording import SOUND_SUFFIXES
from train.corpora.layouts import Clip, audio_files

#: Speaker of recordings without a speaker name. They may be one person or many, so no split can
#: keep their speakers apart; see :mod:`train.corpora.splits`.
UNKNOWN = "unknown"


def is_own(name: str) -> bool:
    """Return whether a recipe's entry is a path to own recordings, not a misspelt corpus."""
    path = Path(name)
    return path.suffix.lower() == ".csv" or len(path.parts) > 1 or path.expanduser().exists()


def own_clips(name: str) -> Iterator[Clip]:
    """Yield the recordings of a folder or table, with their labels unchanged.

    Raises:
        SerLiveError: there is no such folder or table, or it does not have the expected form.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return _folder(path)
    if path.is_file() and path.suffix.lower() == ".csv":
        return _table(path)
    raise SerLiveError(f"{path}: no folder of class folders, and no .csv of files and labels")


def own_labels(name: str) -> tuple[str, ...]:
    """Return the labels of own recordings, sorted.

    Raises:
        SerLiveError: as for :func:`own_clips`.
    """
    return tuple(sorted({clip.emotion for clip in own_clips(name)}))


def _folder(folder: Path) -> Iterator[Clip]:
    """Read ``LABEL/x.wav`` (unknown speaker) and ``LABEL/SPEAKER/x.wav`` (known speaker)."""
    for path in audio_files(folder, SOUND_SUFFIXES | MEDIA_SUFFIXES):
        within = path.relative_to(folder).parts
        if len(within) == 1:
            raise SerLiveError(f"{path}: lies in no class folder; {folder}/LABEL/ names its label")
        yield Clip(path, within[0], within[1] if len(within) > 2 else UNKNOWN)


def _table(table: Path) -> Iterator[Clip]:
    """Read columns ``file`` (relative to the table), ``label`` and, optionally, ``speaker``."""
    seen: dict[Path, int] = {}
    for row in labelled_files(table):
        path = table.parent / row.file
        if not path.is_file():
            raise SerLiveError(f"{table} line {row.line}: there is no file {path}")
        if path in seen:
            raise SerLiveError(
                f"{table} line {row.line}: {row.file} is in line {seen[path]} already"
            )
        seen[path] = row.line
        yield Clip(path, row.label, row.others.get("speaker", "").strip() or UNKNOWN)
