"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

CACHE = Path.home() / ".cache" / "ser-live"


def model_file(text: str) -> Path:
    """Return the path of a model file to write.

    Raises:
        argparse.ArgumentTypeError: its suffix is not .onnx.
    """
    path = Path(text)
    if path.suffix.lower() != ".onnx":
        raise argparse.ArgumentTypeError(f"a model file ends in .onnx, not {text!r}")
    return path


def add_corpora(parser: argparse.ArgumentParser) -> None:
    """``--corpora``: the folder of the corpora."""
    parser.add_argument(
        "--corpora",
        type=Path,
        default=CACHE / "corpora",
        help="folder of the corpora, a folder each (default: %(default)s)",
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """``--cache``: where prepared recordings are kept."""
    parser.add_argument(
        "--cache",
        type=Path,
        default=CACHE / "prepared",
        help="folder for prepared recordings (default: %(default)s)",
    )


def add_place(parser: argparse.ArgumentParser) -> None:
    """``--cache`` and ``--device``, of a command that trains."""
    add_cache(parser)
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="what trains (default: %(default)s, the GPU if torch finds one)",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """``--run``: the folder that the training keeps."""
    parser.add_argument("--run", type=Path, help="folder of the run (default: runs/RECIPE)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json`` and ``--force``, of a command that shows figures."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--force", action="store_true", help="overwrite that file")
