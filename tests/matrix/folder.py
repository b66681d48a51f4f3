"""A folder of mixed kinds; ``ser-live score`` must report every file in it.

``python -m tests.matrix.folder 1000`` makes a folder of 1000 files, scores it and counts.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.command import ser_live
from tests.matrix.cells import voices
from tests.matrix.faults import FAULTS
from tests.matrix.kinds import KINDS, VOICE_RATE, make

#: Kinds that are copied, by name.
_KINDS = (
    *("wav pcm_s16le", "wav pcm_u8", "wav pcm_f32le", "wav adpcm_ms", "wav libmp3lame"),
    *("rf64 pcm_s16le", "w64 pcm_f32le", "aiff pcm_s16be", "au pcm_mulaw", "caf alac"),
    *("flac flac", "ogg libvorbis", "ogg flac", "ogg libopus", "ogg libspeex"),
    *("mp3 libmp3lame", "mp3 libmp3lame vbr without an index", "mp4 aac", "webm libopus"),
    *("wma wmav2", "amr amr_nb", "aac aac", "voc pcm_s16le", "sph sox", "mkv flac"),
)
#: Names and contents of files that are not sound, some with the name of a sound file.
_OTHERS = {
    "notes.txt": b"no sound\n",
    "picture.jpg": b"\xff\xd8\xff\xe0" + bytes(500),
    "no ending": b"\0" * 100,
    ".hidden.wav": b"RIFF",
    "empty.wav": b"",
    "text.wav": b"no sound either\n" * 99,
    "text.m4a": b"nor here\n" * 99,
    "begun.flac": b"fLaC",
}
_SECONDS = 1.0


@dataclass(frozen=True)
class Count:
    """What ``score`` reported of a folder.

    Attributes:
        files: number of files in it.
        rows: number of rows of results.
        errors: number of rows with an error.
        passed_over: number of files reported as passed over.
        exit_code: exit code of the command.
        seconds: time that it took.
        said: text on stderr.
    """

    files: int
    rows: int
    errors: int
    passed_over: int
    exit_code: int
    seconds: float
    said: str


def make_folder(folder: Path, count: int) -> None:
    """Fill a folder with this many files: sound of many kinds, damaged sound, and other files."""
    originals = _originals(folder.with_name("originals"))
    for number in range(count):
        within = folder / f"part {number % 7}" / ("folder.wav" if number % 3 else "plain")
        within.mkdir(parents=True, exist_ok=True)
        source = originals[number % len(originals)]
        path = within / f"{number} {source.name}"
        if number % 11 == 10:
            path.symlink_to(folder / "nowhere" / source.name)
        elif number % 13 == 12 and source.name != ".hidden.wav":
            path.symlink_to(source)
        elif number % 17 == 16:
            os.mkfifo(path)
        else:
            shutil.copy(source, path.with_name(source.name) if number < len(originals) else path)
        if number % 19 == 18 and path.is_file() and not path.is_symlink():
            path.chmod(0)


def _originals(folder: Path) -> list[Path]:
    """Make a file of each kind, some with a fault, and files that are not sound."""
    folder.mkdir()
    voice = voices()[1][: round(_SECONDS * VOICE_RATE)]
    damaging = {one.name: one for one in FAULTS}
    found = []
    for number, kind in enumerate(one for one in KINDS if one.name in _KINDS):
        path = folder / f"{number}.{kind.suffix}"
        rate = 16_000 if 16_000 in kind.rates else kind.rates[0]
        make(kind, voice, rate, 1, path)
        fault = damaging[("cut at 60 %", "joined", "noise before", "size 0")[number % 4]]
        data = path.read_bytes()
        changed = fault.change(data, data) if number % 2 else None
        path.write_bytes(changed or data)
        found.append(path)
    for name, data in _OTHERS.items():
        (folder / name).write_bytes(data)
        found.append(folder / name)
    return found


def scored(folder: Path, workers: int = 1) -> Count:
    """Score a folder with the command, and count what it reports."""
    files = sum(len(names) for _, _, names in os.walk(folder))
    table = folder.with_name("results.csv")
    began = time.monotonic()
    result = ser_live("score", folder, "--output", table, "--workers", workers, "--passed-over")
    seconds = time.monotonic() - began
    said = result.stderr.decode()
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    named = len(re.findall(r"^ser-live: passed over /", said, re.MULTILINE))
    errors = sum(bool(row["error"]) for row in rows)
    return Count(files, len(rows), errors, named, result.returncode, seconds, said)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "mixed")
        make_folder(folder, int(sys.argv[1]))
        count = scored(folder)
    print(
        f"{count.files} files: {count.rows} rows ({count.errors} with an error), "
        f"{count.passed_over} passed over, {count.files - count.rows - count.passed_over} not "
        f"reported; exit code {count.exit_code}, {count.seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
