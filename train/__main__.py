"""``python -m train``: corpora -> weights."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from streamer.errors import SerLiveError

CACHE = Path.home() / ".cache" / "ser-live"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit", help="train as a recipe says; a stopped run goes on")
    fit.add_argument("recipe", type=Path, help="TOML file, see train/recipes")
    fit.add_argument("--corpora", type=Path, default=CACHE / "corpora", help="%(default)s")
    fit.add_argument("--cache", type=Path, default=CACHE / "prepared", help="%(default)s")
    fit.add_argument("--run", type=Path, help="folder of the run (default: runs/RECIPE)")
    fit.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="%(default)s"
    )
    fit.add_argument(
        "--without",
        type=lambda kinds: kinds.split(","),
        default=[],
        metavar="KIND,...",
        help="leave out kinds of augmentation, such as mixup,rooms",
    )
    export = commands.add_parser("export", help="a finished run -> ONNX model file, tested")
    export.add_argument("run", type=Path, help="folder of the run")
    export.add_argument("--corpora", type=Path, default=CACHE / "corpora", help="%(default)s")
    export.add_argument("-o", "--output", type=Path, required=True, help="model file to write")
    evaluate = commands.add_parser("evaluate", help="score a model file on unseen speakers")
    evaluate.add_argument("model", type=Path, help="model file")
    evaluate.add_argument("--corpora", type=Path, default=CACHE / "corpora", help="%(default)s")
    evaluate.add_argument("--gain-db", type=float, default=0.0, help="change the level first")
    return parser


def main() -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args()
    # After parsing: torch takes seconds to import.
    from train.run import export_run

    try:
        if options.command == "export":
            print(json.dumps(export_run(options.run, options.output, options.corpora)))
            return 0
        if options.command == "evaluate":
            return _evaluate(options)
        return _fit(options)
    except SerLiveError as error:
        print(f"train: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _fit(options: argparse.Namespace) -> int:
    from train.place import find_place
    from train.recipe import read_recipe
    from train.run import Folders, run

    recipe = read_recipe(options.recipe, options.without)
    name = "-without-".join((recipe.name, *options.without))
    folders = Folders(options.corpora, options.cache, options.run or Path("runs") / name)
    with find_place(options.device) as place:
        result = run(recipe, folders, place)
        if place.leads:
            print(f"epoch {result['epoch']}, validation UAR {result['validation_uar']} %")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from streamer.recognizer import Recognizer
    from train.evaluate import describe, evaluate

    labels = Recognizer.load(options.model).metadata.labels
    results = evaluate(options.model, options.corpora, gain_db=options.gain_db)
    for name, (scores, unheard) in results.items():
        print(describe(name, scores, unheard, labels))
    return 0


if __name__ == "__main__":
    sys.exit(main())
