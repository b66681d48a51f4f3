"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from streamer.formats.names import TIMELINES
from streamer.recognition.prior import BALANCED, PRIORS

SPEEDS = {"1": 1.0, "2": 2.0, "max": None}
SPEED_HELP = "1: as live; 2: twice as fast; max: as fast as possible (default: %(default)s)"
CHANNELS = (
    "mix (default): the mean of the channels, or the louder one where they cancel each other; "
    "split: a stream for each channel; a number, from 1: that channel alone"
)


def local_file(text: str) -> Path:
    """Return the path of a file; the type of options that name files to read.

    Raises:
        argparse.ArgumentTypeError: it is an address on the network.
    """
    if "://" in text and not os.path.lexists(text):
        raise argparse.ArgumentTypeError(
            f"{text} is an address, and nothing is fetched: download it and name the file"
        )
    return Path(text)


class Folder:
    """A path that is written as that of a folder, with a slash at its end.

    It is no dataclass, as that module takes a while to import.
    """

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path


def file_or_folder(text: str) -> Path | Folder:
    """Return a path, which alone would forget its slash; the type of options that name either."""
    slashes = tuple(one for one in (os.sep, os.altsep) if one)
    return Folder(Path(text)) if text.endswith(slashes) else Path(text)


def is_path(action: argparse.Action) -> bool:
    """Return whether the values of an option are paths."""
    return action.type in (Path, local_file, file_or_folder)


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add ``--output`` and ``--force``, for a command that writes one file."""
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write here, not to stdout"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the output file")


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add ``--format``, ``--output`` and ``--force``, for a command that shows a session."""
    parser.add_argument(
        "--format",
        choices=("tui", "plain", "changes", "jsonl", *TIMELINES),
        help="tui: the screen, in a terminal with colours (elsewhere plain); plain: a line for "
        "every estimate; changes: a line where the label changes; jsonl: JSON lines, for programs; "
        "csv: a table; audacity (label track), textgrid (Praat), srt and vtt: an entry for each "
        "stretch of one label (default: tui where it can be shown and --speed is not max, else "
        "plain; for an --output its suffix)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write the results to this file, beside the screen if there is one; its suffix names "
        "the format (.jsonl, .csv, .TextGrid, .srt, .vtt; any other needs a --format)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``."""
    parser.add_argument(
        "--model",
        type=local_file,
        metavar="NAME|FILE",
        help="another model than the default: research, or a file",
    )


def add_prior(parser: argparse.ArgumentParser, default: str = BALANCED) -> None:
    """Add ``--prior``; ``default`` is the help text's default."""
    parser.add_argument(
        "--prior",
        choices=PRIORS,
        help="everyday: assume that most speech is neutral, as in ordinary life; balanced: assume "
        f"that all emotions are equally common (default: {default})",
    )


def add_adaptation(parser: argparse.ArgumentParser) -> None:
    """Add ``--profile`` and ``--no-adaptation``."""
    parser.add_argument(
        "--profile",
        type=local_file,
        metavar="FILE",
        help="profile of the speaker, made by ser-live enrol with the same model; all speech is "
        "taken for that voice",
    )
    add_no_adaptation(parser, "; a --profile stays as it is")


def add_no_adaptation(parser: argparse.ArgumentParser, more: str) -> None:
    """Add ``--no-adaptation``, stored as ``adapts``; its help ends with ``more``."""
    parser.add_argument(
        "--no-adaptation",
        dest="adapts",
        action="store_false",
        help="do not learn the voice during the stream: each moment is judged without the minutes "
        f"before it{more}",
    )
