"""``python -m train export``: writes and tests the model file of a finished run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from streamer.outputs import check_output
from train.commands.options import add_corpora, model_file

HELP = "a finished run -> ONNX model file, tested"
DESCRIPTION = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", type=Path, help="folder of the run")
    add_corpora(parser)
    parser.add_argument(
        "-o", "--output", type=model_file, required=True, help="model file to write"
    )
    parser.add_argument(
        "--judged",
        action="store_true",
        help="after a refit, export the network from before it, which has not heard the validation "
        "speakers",
    )
    parser.add_argument(
        "--like",
        type=Path,
        metavar="MODEL.onnx",
        help="copy the decision layer and the everyday prior of this model, such as the same run's "
        "tuned --judged network",
    )
    parser.add_argument("--force", action="store_true", help="overwrite that file")


def run(options: argparse.Namespace) -> int:
    """Export and test; raises as :func:`train.stages.export.export_run`."""
    from train.stages.export import export_run

    check_output(options.output, options.force, [options.like] if options.like else [])
    tested = export_run(options.run, options.output, options.corpora, options.judged, options.like)
    print(json.dumps(tested))
    return 0
