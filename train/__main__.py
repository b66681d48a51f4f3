"""``python -m train``: corpora -> weights."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamer.bundled import bundled
from streamer.errors import RunFailure, SerLiveError, printable
from streamer.outputs import check_output, say_on_stderr
from train.judging.choices import KINDS, PARTS

#: Exit code after Ctrl-C, as in shells: 128 + the number of the signal.
EXIT_INTERRUPTED = 130

#: Commands that resume after a stop.
GO_ON = ("fit", "pretrain", "teach", "compare")

CACHE = Path.home() / ".cache" / "ser-live"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="check corpora: counts, lengths, faults")
    prepare.add_argument(
        "corpus",
        nargs="*",
        help="name of a corpus, or path of own recordings (default: all corpora at hand)",
    )
    _add_corpora(prepare)
    fit = commands.add_parser("fit", help="train as a recipe says; a stopped run goes on")
    fit.add_argument(
        "recipe",
        type=Path,
        metavar="RECIPE|DATA",
        help="TOML file, see train/recipes; or one's own recordings, a folder of "
        "LABEL/SPEAKER/x.wav or a .csv of file, label, speaker, trained on as own.toml says",
    )
    _add_corpora(fit)
    fit.add_argument("--run", type=Path, help="folder of the run (default: runs/RECIPE)")
    _add_place(fit)
    fit.add_argument(
        "--corpus",
        nargs="+",
        metavar="NAME",
        help="train on these of the recipe's corpora; the others are tested, never trained on",
    )
    fit.add_argument("--seed", type=int, metavar="N", help="instead of the recipe's")
    fit.add_argument(
        "--without",
        type=lambda kinds: kinds.split(","),
        default=[],
        metavar="KIND,...",
        help="leave out kinds of augmentation, such as mixup,rooms",
    )
    pretrain = commands.add_parser(
        "pretrain",
        help="let a network imitate what Whisper's encoder hears, before it learns emotions",
        description="As the recipe says, such as train/recipes/imitation.toml. The recipes that "
        "start from the run name its folder. A stopped run goes on.",
    )
    pretrain.add_argument("recipe", type=Path, metavar="RECIPE", help="TOML file with imitates")
    _add_corpora(pretrain)
    pretrain.add_argument("--run", type=Path, help="folder of the run (default: runs/RECIPE)")
    _add_place(pretrain)
    teach = commands.add_parser(
        "teach",
        help="let Whisper's encoder learn emotions, and keep what it says of others",
        description="As the recipe says, such as train/recipes/teacher.toml. A recipe of a fit "
        "that names the run as answers learns from it. Takes a GPU.",
    )
    teach.add_argument("recipe", type=Path, metavar="RECIPE", help="TOML file of teachers")
    _add_corpora(teach)
    teach.add_argument("--run", type=Path, help="folder of the run (default: runs/RECIPE)")
    _add_place(teach)
    teach.add_argument(
        "--fold", type=int, metavar="N", help="this teacher alone, from 0; others side by side"
    )
    export = commands.add_parser("export", help="a finished run -> ONNX model file, tested")
    export.add_argument("run", type=Path, help="folder of the run")
    _add_corpora(export)
    export.add_argument("-o", "--output", type=Path, required=True, help="model file to write")
    export.add_argument(
        "--judged",
        action="store_true",
        help="by a recipe with refit: the network that the validation speakers judged, not the one "
        "that has heard them, too",
    )
    export.add_argument(
        "--like",
        type=Path,
        metavar="MODEL.onnx",
        help="with the decision layer and the everyday prior of this model: of the same run's "
        "--judged network, tuned, where the validation speakers were trained on since",
    )
    export.add_argument("--force", action="store_true", help="overwrite that file")
    _add_evaluate(commands)
    _add_tune(commands)
    _add_compare(commands)
    _add_bench(commands)
    _add_gate(commands)
    _add_soak(commands)
    _add_windows(commands)
    return parser


def _add_corpora(command: argparse.ArgumentParser) -> None:
    command.add_argument("--corpora", type=Path, default=CACHE / "corpora", help="%(default)s")


def _add_place(command: argparse.ArgumentParser) -> None:
    """Add the options for cache folder and device."""
    command.add_argument("--cache", type=Path, default=CACHE / "prepared", help="%(default)s")
    command.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="%(default)s"
    )


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    command.add_argument("--force", action="store_true", help="overwrite that file")


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="score model files on speakers they have not heard",
        description="Score model files through the runtime: of corpora that a model was trained on "
        "the test speakers, of others everybody. Each recording is heard in running streams of its "
        "speaker and alone; one emotion is held for 60 s; and it is counted how often ordinary "
        "speech is called an emotion. Recordings without speech are errors.",
    )
    evaluate.add_argument("models", nargs="+", type=Path, metavar="MODEL.onnx", help="model file")
    _add_corpora(evaluate)
    evaluate.add_argument(
        "--corpus", nargs="+", default=[], metavar="NAME", help="default: all corpora at hand"
    )
    evaluate.add_argument("--split", metavar="NAME", help="test speakers of this split instead")
    evaluate.add_argument(
        "--conditions",
        nargs="+",
        default=[],
        choices=KINDS,
        help="also over background noise, at other levels, in streams of changing emotion, through "
        "a telephone or a poor call, clipped, with an offset, at another pitch or tempo, from "
        "across a room that is made, and by one who knows the voice: %(choices)s",
        metavar="NAME",
    )
    evaluate.add_argument(
        "--only",
        nargs="+",
        default=[],
        choices=PARTS,
        metavar="PART",
        help="measure these parts and leave the others out: %(choices)s",
    )
    evaluate.add_argument(
        "--limit", type=int, metavar="N", help="hear only the first N speakers of each corpus"
    )
    evaluate.add_argument(
        "--transfer",
        action="store_true",
        help="a table of models by corpora; fails if one is at chance where it was not trained",
    )
    _add_json(evaluate)


def _add_tune(commands: Any) -> None:
    tune = commands.add_parser(
        "tune",
        help="choose decision layer and everyday prior on validation speakers",
        description="Join utterances of validation speakers to streams of changing emotion, try "
        "settings of the decision layer, and show which costs least: seconds without the right "
        "label, and a second for each change to a wrong one. Then try how much of everyday speech "
        "is neutral: choose what finds most of acted emotion while "
        "at most 20 %% of ordinary speech is called one.",
    )
    tune.add_argument("model", type=Path, metavar="MODEL.onnx", help="model file")
    _add_corpora(tune)
    tune.add_argument(
        "--corpus",
        nargs="+",
        default=[],
        metavar="NAME",
        help="corpora that the model was trained on, your own recordings by their path (default: "
        "all known ones that are at hand)",
    )
    tune.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write the model with the best setting"
    )
    tune.add_argument("--force", action="store_true", help="overwrite that file")


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser("bench", help="what a step costs beside what it could; training")
    bench.add_argument("--model", type=Path, help="model file (default: the shipped one)")
    bench.add_argument("--recording", type=Path, default=bundled("demo.flac"), help="%(default)s")
    bench.add_argument("--seconds", type=float, default=20.0, help="how long (%(default)s)")
    _add_json(bench)


def _add_gate(commands: Any) -> None:
    gate = commands.add_parser(
        "gate", help="teach Silero's network to hear through noise: the runtime's voice gate"
    )
    gate.add_argument(
        "recipe",
        type=Path,
        nargs="?",
        default=Path("train/recipes/open.toml"),
        help="whose streams it learns from (%(default)s)",
    )
    gate.add_argument(
        "--steps", type=int, default=260, help="batches (%(default)s); 0: Silero's own weights"
    )
    _add_corpora(gate)
    gate.add_argument("--cache", type=Path, default=CACHE / "prepared", help="%(default)s")
    gate.add_argument("-o", "--output", type=Path, required=True, help="model file to write")
    gate.add_argument("--force", action="store_true", help="overwrite that file")


def _add_windows(commands: Any) -> None:
    windows = commands.add_parser(
        "windows",
        help="how long the rolling window of a finished run should be",
        description="Ask the network of a run with shorter windows, on validation speakers alone "
        "and in running streams. Nothing is trained.",
    )
    windows.add_argument("run", type=Path, help="folder of the run")
    _add_corpora(windows)
    windows.add_argument("--cache", type=Path, default=CACHE / "prepared", help="%(default)s")


def _add_soak(commands: Any) -> None:
    soak = commands.add_parser(
        "soak",
        help="a day of audio through one stream: memory, step time, time stamps, forgetting",
        description="Corpora, noise and silence in random order and at random levels, through one "
        "stream at full speed. A day takes about 15 minutes of a core.",
    )
    soak.add_argument("--hours", type=float, default=24.0, help="of audio (%(default)g)")
    soak.add_argument("--seed", type=int, default=0, help="of order and levels (%(default)s)")
    soak.add_argument("--model", type=Path, help="model file (default: the shipped one)")
    _add_corpora(soak)
    _add_json(soak)


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare",
        help="the paper's systems, and the price of look-ahead, by one recipe",
        description="Train and test every system of the paper, and the live network with other "
        "look-aheads, on the corpora at hand. A finished trial is a line in the results file and "
        "is not run again; a stopped one goes on. Takes hours; the tables are drawn at the end.",
    )
    compare.add_argument(
        "--protocol", nargs="+", default=[], metavar="NAME", help="such as cremad or ravdess"
    )
    compare.add_argument("--system", nargs="+", default=[], metavar="NAME", help="default: all")
    compare.add_argument(
        "--scale",
        choices=("small", "full"),
        help="three seeds and one of folds, or five of everything (default: full with a GPU)",
    )
    compare.add_argument(
        "--recipe", type=Path, default=Path("train/recipes/compare.toml"), help="%(default)s"
    )
    compare.add_argument(
        "--results", type=Path, default=Path("train/results/compare.jsonl"), help="%(default)s"
    )
    compare.add_argument("--runs", type=Path, default=Path("runs/compare"), help="%(default)s")
    compare.add_argument("--tables", action="store_true", help="draw the tables, train nothing")
    _add_corpora(compare)
    _add_place(compare)


def main() -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args()
    try:
        if options.command == "prepare":
            return _prepare(options)
        if options.command in ("evaluate", "tune"):
            _run_assessment(options)
        elif options.command == "bench":
            _run_bench(options)
        elif options.command == "soak":
            _run_soak(options)
        elif options.command == "windows":
            _run_windows(options)
        elif options.command == "gate":
            _run_gate(options)
        elif options.command == "compare":
            _run_comparison(options)
        elif options.command == "pretrain":
            _run_pretraining(options)
        elif options.command == "teach":
            _run_teaching(options)
        else:
            _run_training(options)
    except SerLiveError as error:
        say_on_stderr(f"train: {printable(error)}")
        return error.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("train", "model", "streamer"):
            raise  # a bug of ours
        say_on_stderr(f"train: training needs {error.name}: pip install --editable '.[train]'")
        return RunFailure.exit_code
    except KeyboardInterrupt:
        goes_on = "; the same command goes on" * (options.command in GO_ON)
        say_on_stderr(f"train: stopped{goes_on}")
        return EXIT_INTERRUPTED
    return 0


def _prepare(options: argparse.Namespace) -> int:
    from train.corpora.check import prepare

    return prepare(options.corpus, options.corpora)


def _run_assessment(options: argparse.Namespace) -> None:
    # After parsing: onnxruntime and rich take a while to import.
    from train.commands import run_evaluate, run_tune

    run_evaluate(options) if options.command == "evaluate" else run_tune(options)


def _run_bench(options: argparse.Namespace) -> None:
    # After parsing: torch takes seconds to import.
    from train.endurance.bench import run_bench

    run_bench(options)


def _run_soak(options: argparse.Namespace) -> None:
    from train.endurance.soak import run_soak

    run_soak(options)


def _run_windows(options: argparse.Namespace) -> None:
    # After parsing: torch takes seconds to import.
    from streamer.outputs import show
    from train.fitting.windows import run_windows

    show(run_windows(options.run, options.corpora, options.cache))


def _run_gate(options: argparse.Namespace) -> None:
    # After parsing: torch takes seconds to import.
    from train.fitting.gate import write_gate
    from train.fitting.recipe import read_recipe
    from train.fitting.run_folder import Folders

    check_output(options.output, options.force)
    folders = Folders(options.corpora, options.cache, options.output.parent)
    write_gate(read_recipe(options.recipe), folders, options.steps, options.output)


def _run_comparison(options: argparse.Namespace) -> None:
    # After parsing: torch takes seconds to import.
    from train.comparing.compare import run_compare

    run_compare(options)


def _run_pretraining(options: argparse.Namespace) -> None:
    # After parsing: torch takes seconds to import.
    from train.fitting.pretraining import run_pretraining
    from train.fitting.recipe import read_recipe
    from train.fitting.run_folder import Folders
    from train.place import find_place

    recipe = read_recipe(options.recipe)
    run = options.run or Path("runs") / recipe.name
    with find_place(options.device) as place:
        if place.leads:  # one process only
            say_on_stderr(f"train: {recipe.name}, kept in {run}; first all is made ready")
            folders = Folders(options.corpora, options.cache, run)
            run_pretraining(recipe, folders, replace(place, ranks=1))
            say_on_stderr(f"train: a recipe that starts from it says pretrained = {str(run)!r}")


def _run_teaching(options: argparse.Namespace) -> None:
    # After parsing: torch takes seconds to import.
    from train.fitting.run_folder import Folders
    from train.fitting.teaching import read_teacher_recipe, run_teaching
    from train.place import find_place

    recipe = read_teacher_recipe(options.recipe)
    run = options.run or Path("runs") / recipe.name
    if options.fold is not None and not 0 <= options.fold < recipe.folds:
        raise SerLiveError(f"--fold must lie in 0..{recipe.folds - 1}, is {options.fold}")
    with find_place(options.device) as place:
        if place.leads:  # one process only
            say_on_stderr(f"train: {recipe.name}, kept in {run}; first all is made ready")
            folders = Folders(options.corpora, options.cache, run)
            if run_teaching(recipe, folders, replace(place, ranks=1), options.fold):
                say_on_stderr(f"train: a recipe that learns from it says answers = {str(run)!r}")


def _run_training(options: argparse.Namespace) -> None:
    # After parsing: torch takes seconds to import.
    from train.fitting.export import export_run
    from train.fitting.recipe import recipe_of
    from train.fitting.run import run
    from train.fitting.run_folder import Folders
    from train.place import find_place

    if options.command == "export":
        check_output(options.output, options.force)
        tested = export_run(
            options.run, options.output, options.corpora, options.judged, options.like
        )
        print(json.dumps(tested))
        return
    recipe = recipe_of(options.recipe, options.without)
    if options.corpus:
        recipe = recipe.of_corpora(options.corpus)
    name = "-without-".join((recipe.name, *options.without))
    if options.seed is not None:
        recipe, name = replace(recipe, seed=options.seed), f"{name}-seed-{options.seed}"
    folders = Folders(options.corpora, options.cache, options.run or Path("runs") / name)
    with find_place(options.device) as place:
        if place.leads:
            say_on_stderr(f"train: {recipe.name}, kept in {folders.run}; first all is made ready")
        result = run(recipe, folders, place)
        if place.leads:
            print(f"epoch {result['epoch']}, validation UAR {result['validation_uar']} %")
            say_on_stderr(f"train: python -m train export {folders.run} -o FILE.onnx comes next")


if __name__ == "__main__":
    sys.exit(main())
