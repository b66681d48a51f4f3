"""``python -m tests.matrix``: the matrix of sound files, judged and counted."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.matrix.cells import Cell, Maker
from tests.matrix.faults import FAULTS
from tests.matrix.judging import FAILURES, GOOD
from tests.matrix.kinds import KINDS, Kind, are_at_hand

#: Containers whose faults differ with the bytes of a frame.
_FAULTY_IN_MONO_TOO = ("wav", "aiff", "au", "mp3", "ogg", "flac")


def _cells(folder: Path, is_full: bool, only: str) -> Iterator[Cell]:
    """Yield whole files of every kind at every rate, and files with faults at one rate."""
    maker = Maker(folder)
    for kind in KINDS:
        if not re.search(only, kind.name):
            continue
        faulty = _rate_of_faults(kind)
        for rate in kind.rates if is_full else (faulty,):
            for channels in kind.channels:
                is_faulty = rate == faulty and channels == min(2, max(kind.channels))
                is_faulty |= is_full and rate == faulty and kind.container in _FAULTY_IN_MONO_TOO
                if is_full or is_faulty:
                    yield from maker.cells(kind, rate, channels, FAULTS if is_faulty else ())
        for source in folder.glob("source-*"):
            source.unlink()


def _rate_of_faults(kind: Kind) -> int:
    return 16_000 if 16_000 in kind.rates else kind.rates[-1]


def _table(title: str, cells: list[Cell], key: Callable[[Cell], str]) -> list[str]:
    """Format counts as Markdown, a row per key."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for cell in cells:
        counts[key(cell)][cell.verdict.kind] += 1
        counts["all"][cell.verdict.kind] += 1
    counts["all"] = counts.pop("all")
    found = [one for one in FAILURES if counts["all"][one]]
    columns = [*GOOD, *found]
    lines = [f"| {title} | cells | {' | '.join(columns)} |", "| --- " * (len(columns) + 2) + "|"]
    for name, row in counts.items():
        cells_of = " | ".join(str(row[column]) for column in columns)
        lines.append(f"| {name} | {row.total()} | {cells_of} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every rate and number of channels")
    parser.add_argument("--table", type=Path, help="write the counts as Markdown")
    parser.add_argument("--only", default="", help="kinds whose name has this pattern")
    parser.add_argument("--lines", action="store_true", help="say what became of every cell")
    arguments = parser.parse_args()
    if not are_at_hand():
        print("takes ffmpeg and sox", file=sys.stderr)
        return 2
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory() as folder:
        for cell in _cells(Path(folder), arguments.full, arguments.only):
            cells.append(cell)
            if arguments.lines or cell.verdict.kind in FAILURES:
                print(f"{cell.name}: {cell.verdict.kind}: {cell.verdict.line}", flush=True)
    lines: list[str] = []
    for with_media in (True, False):
        own = [cell for cell in cells if cell.with_media is with_media]
        lines += ["", f"{'With' if with_media else 'Without'} the extra media:", ""]
        lines += _table("container", own, lambda cell: cell.kind.container)
        lines += ["", *_table("fault", own, lambda cell: cell.fault or "none")]
    print("\n".join(lines))
    if arguments.table:
        arguments.table.write_text("\n".join(lines).lstrip() + "\n")
    return int(any(cell.verdict.kind in FAILURES for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
