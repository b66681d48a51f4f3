"""``python -m train``: corpora -> weights."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from streamer.bundled import bundled
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
    export = commands.add_parser("export", help="a finished run -> ONNX model file, tested")
    export.add_argument("run", type=Path, help="folder of the run")
    export.add_argument("--corpora", type=Path, default=CACHE / "corpora", help="%(default)s")
    export.add_argument("-o", "--output", type=Path, required=True, help="model file to write")
    evaluate = commands.add_parser("evaluate", help="score a model file on unseen speakers")
    evaluate.add_argument("model", type=Path, help="model file")
    evaluate.add_argument("--corpora", type=Path, default=CACHE / "corpora", help="%(default)s")
    evaluate.add_argument("--gain-db", type=float, default=0.0, help="change the level first")
    bench = commands.add_parser("bench", help="what a step costs beside what it could cost")
    bench.add_argument("--model", type=Path, help="model file (default: the shipped one)")
    bench.add_argument("--recording", type=Path, default=bundled("demo.flac"), help="%(default)s")
    bench.add_argument("--seconds", type=float, default=20.0, help="how long (%(default)s)")
    bench.add_argument("--json", type=Path, help="file for the figures")
    gate = commands.add_parser("gate", help="Silero's network -> the runtime's voice gate")
    gate.add_argument("-o", "--output", type=Path, required=True, help="model file to write")
    return parser


def main() -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args()
    # After parsing: torch takes seconds to import.
    from train.recipe import read_recipe
    from train.run import Folders, export_run, run

    try:
        if options.command == "export":
            print(json.dumps(export_run(options.run, options.output, options.corpora)))
            return 0
        if options.command == "evaluate":
            return _evaluate(options)
        if options.command == "bench":
            return _bench(options)
        if options.command == "gate":
            from model.silero import export_voice_gate

            export_voice_gate(options.output)
            return 0
        recipe = read_recipe(options.recipe)
        folder = options.run or Path("runs") / recipe.name
        result = run(recipe, Folders(options.corpora, options.cache, folder))
        print(f"epoch {result['epoch']}, validation UAR {result['validation_uar']} %")
    except SerLiveError as error:
        print(f"train: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from streamer.recognizer import Recognizer
    from train.evaluate import describe, evaluate

    labels = Recognizer.load(options.model).metadata.labels
    results = evaluate(options.model, options.corpora, gain_db=options.gain_db)
    for name, (scores, unheard) in results.items():
        print(describe(name, scores, unheard, labels))
    return 0


def _bench(options: argparse.Namespace) -> int:
    from train.bench import bench, json_of, print_table

    result = bench(options.model, options.recording, options.seconds)
    print_table(result)
    if options.json is not None:
        options.json.write_text(json_of(result) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
