"""The comparison: its trials, resuming them, and the tables of their results."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest

import train.comparing.compare
import train.stages.run
from model.baselines import c_bilstm, paper
from model.config import EMOTIONS, live
from model.network import look_ahead_ms
from streamer.errors import SerLiveError
from streamer.signal import FRAME_TAIL_SAMPLES, SAMPLE_RATE
from tests.helpers.generated import STREAMED, TINY, recipe_with
from tests.helpers.places import RECIPES, RESULTS
from tests.helpers.training import run_train
from train.comparing.compare import run_missing, settings_digest
from train.comparing.results_file import (
    UNSEEDED,
    Finished,
    append_result,
    make_appendable,
    read_results,
)
from train.comparing.tables import (
    COMPARED_WITH,
    LIVE,
    PAPER,
    by_protocol,
    difference,
    prices,
    tables,
)
from train.comparing.trials import (
    COMPARED,
    ELSEWHERE,
    FULL,
    FUNCTIONALS,
    LOOK_AHEADS,
    NAMED_ONLY,
    NETWORKS,
    SMALL,
    Protocol,
    Trial,
    protocols_at_hand,
    trials,
)
from train.features.arrangement import Streams
from train.features.augment import Augmentation
from train.fitting.recipe import Recipe
from train.fitting.recipe_file import read_recipe
from train.fitting.run_folder import Folders
from train.fitting.training import Training
from train.place import Place
from train.stages.earlier_runs import EarlierRuns

ONE_SPLIT = {"cremad": Protocol("cremad", EMOTIONS, ("fixed",), 1)}


# Trials


def test_on_two_cores_there_are_three_seeds_of_cremad_and_five_folds_of_ravdess():
    found = list(trials(SMALL, COMPARED))
    assert len({one.key for one in found}) == len(set(found)) == len(found)
    seeds = Counter((one.protocol, one.split, one.system) for one in found)
    for system in NETWORKS:
        assert seeds["cremad", "fixed", system] == 3
        for fold in range(1, 6):
            assert seeds["ravdess", f"ravdess-5/{fold}", system] == 1
    assert {len(one.labels) for one in found if one.protocol == "ravdess"} == {8}


def test_with_a_gpu_there_are_five_seeds_of_every_fold():
    seeds = Counter((one.protocol, one.split, one.system) for one in trials(FULL, NETWORKS))
    assert set(seeds.values()) == {5}
    folds = Counter(protocol for protocol, _, system in seeds if system == COMPARED_WITH[0])
    assert folds["cremad-folds"] == folds["ravdess"] == folds["iemocap-sessions"] == 5


def test_protocols_of_other_work_run_only_if_named(monkeypatch, tmp_path, capsys):
    (tmp_path / "emodb").mkdir()  # there is no protocol for it
    named = ("--scale", "small", "--protocol", "ravdess-emobox")
    for options, protocols in ((named[:2], SMALL), (named, ["ravdess-emobox"])):
        assert compared(monkeypatch, tmp_path, tmp_path, *options) == 2
        said = capsys.readouterr().err
        assert {name for name in SMALL | ELSEWHERE if f"{name} is left out" in said} == {*protocols}


def test_deterministic_systems_run_once_per_split():
    found = [one for one in trials(FULL, COMPARED) if one.system == FUNCTIONALS]
    assert len(found) == len({(one.protocol, one.split) for one in found})
    assert {one.seed for one in found} == {UNSEEDED}


def test_every_system_is_compared_before_the_next_seed_begins():
    two_seeds = {"cremad": replace(ONE_SPLIT["cremad"], seeds=2)}
    assert [(one.seed, one.system) for one in trials(two_seeds, ("a", "b"))] == [
        (1, "a"), (1, "b"), (2, "a"), (2, "b"),
    ]  # fmt: skip


def test_a_missing_corpus_is_skipped_and_named(tmp_path, capsys):
    (tmp_path / "cremad").mkdir()
    assert list(protocols_at_hand(SMALL, tmp_path)) == ["cremad"]
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].split()[0] for line in said] == ["ravdess", "iemocap-random"]
    assert "zenodo" in said[0]


@pytest.mark.parametrize(
    ("system", "timesteps"),
    [
        ("look-ahead-0", 0),
        ("look-ahead-80", 2),
        (LIVE, 4),
        ("look-ahead-320", 8),
        ("look-ahead-paper", 109),
        (PAPER, 109),
    ],
)
def test_look_aheads_are_their_name_plus_the_tail_of_a_frame(system, timesteps):
    assert 1000 * FRAME_TAIL_SAMPLES / SAMPLE_RATE == 15
    assert look_ahead_ms(NETWORKS[system](EMOTIONS)) == 40 * timesteps + 15


@pytest.mark.parametrize("system", LOOK_AHEADS)
def test_other_look_aheads_change_nothing_else_in_the_live_network(system):
    changed, base = NETWORKS[system](EMOTIONS), live()
    for name in base.to_dict().keys() - {"blocks", "frames_ahead"}:
        assert getattr(changed, name) == getattr(base, name)
    for one, other in zip(changed.blocks, base.blocks, strict=True):
        assert one.look_back == other.look_back
    assert (changed.frames_ahead == paper().frames_ahead) == (system == "look-ahead-paper")


@pytest.mark.parametrize("system", NAMED_ONLY)
def test_systems_outside_the_papers_comparison_run_only_if_named(system, tmp_path):
    (tmp_path / "cremad").mkdir()
    asked = Namespace(scale="small", protocol=["cremad"], system=[], seeds=None, corpora=tmp_path)
    systems = {one.system for one in train.comparing.compare._wanted(asked, Place())}
    assert systems | {FUNCTIONALS} == set(COMPARED)
    asked.system = [system]
    (trial, *_) = train.comparing.compare._wanted(asked, Place())
    recipe = train.comparing.compare._recipe(trial, recipe_with())
    assert recipe.network == NAMED_ONLY[system](EMOTIONS)
    seeds = [one.seed for one in train.comparing.compare._wanted(asked, Place())]
    asked.seeds = 2
    fewer = [one.seed for one in train.comparing.compare._wanted(asked, Place())]
    assert (seeds, fewer) == ([1, 2, 3], [1, 2])


def test_the_comparisons_recipe_trains_on_recordings_as_they_are():
    assert read_recipe(RECIPES / "compare.toml").streams is None


# Running them


@pytest.fixture
def small_systems(monkeypatch):
    """Two networks that train in a moment."""
    bilstm = replace(c_bilstm(), channels=(2, 4), hidden=8, layers=1)
    monkeypatch.setitem(NETWORKS, "tiny", lambda labels: replace(TINY, labels=labels))
    monkeypatch.setitem(NETWORKS, "bilstm", lambda labels: replace(bilstm, labels=labels))
    return "tiny", "bilstm"


@pytest.fixture
def comparison(tiny_corpus, tmp_path, small_systems):
    """Run the missing trials and return the contents of the results file."""
    base = recipe_with(epochs=2)
    folders = Folders(tiny_corpus, tmp_path / "cache", tmp_path / "runs")
    results = tmp_path / "results" / "compare.jsonl"
    wanted = list(trials(ONE_SPLIT, small_systems))

    def run(settings=base):
        run_missing(wanted, settings, folders, results, Place())
        return read_results(results)

    run.base, run.results, run.wanted = base, results, wanted
    return run


def forbid_training(monkeypatch):
    def called(*_, **__):
        pytest.fail("a network was trained")

    monkeypatch.setattr(train.stages.run, "run", called)


def test_a_stopped_comparison_goes_on_and_a_finished_one_does_nothing(
    comparison, monkeypatch, capsys
):
    save, saved = Training.save, []

    def save_and_stop(training, path):
        save(training, path)
        saved.append(training.epoch)
        if len(saved) == 3:  # the first epoch of the second trial
            raise KeyboardInterrupt

    monkeypatch.setattr(Training, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        comparison()
    assert [one.system for one in read_results(comparison.results)] == ["tiny"]
    capsys.readouterr()
    finished = comparison()
    assert saved == [1, 2, 1, 2]  # no epoch was trained twice
    assert "trial 1 of 1: cremad/fixed/bilstm/1" in capsys.readouterr().err
    assert [one.key for one in finished] == [one.key for one in comparison.wanted]

    for one in finished:
        assert one.confusion.sum() == 8
        assert one.confusions.keys() == {"1001", "1008"}
        assert one.parameters > 0
        assert one.multiply_adds > 0
    assert {one.system: one.look_ahead_ms for one in finished} == {"tiny": 55.0, "bilstm": None}

    forbid_training(monkeypatch)
    assert len(comparison()) == 2
    assert capsys.readouterr().err == ""


def test_a_finished_run_whose_line_is_missing_is_tested_and_not_trained(comparison, monkeypatch):
    before = comparison()
    lines = comparison.results.read_bytes().splitlines(keepends=True)
    comparison.results.write_bytes(b"".join(lines[:-1]))
    forbid_training(monkeypatch)
    after = comparison()
    assert [one.to_json() for one in after] == [one.to_json() for one in before]


def test_a_line_cut_short_by_a_kill_is_run_again(comparison, monkeypatch, capsys):
    before = comparison()
    whole = comparison.results.read_bytes()
    comparison.results.write_bytes(whole[:-20])
    capsys.readouterr()
    assert [one.key for one in read_results(comparison.results)] == [one.key for one in before[:-1]]
    assert "last line is unfinished" in capsys.readouterr().err
    forbid_training(monkeypatch)
    comparison()
    assert "cut off" in capsys.readouterr().err
    assert comparison.results.read_bytes() == whole


def test_systems_trained_on_streams_are_judged_there_too(tiny_corpus, tmp_path, small_systems):
    folders = Folders(tiny_corpus, tmp_path / "cache", tmp_path / "runs")
    wanted = [one for one in trials(ONE_SPLIT, small_systems) if one.system == "tiny"]
    results = tmp_path / "streams.jsonl"
    run_missing(wanted, replace(STREAMED, epochs=1), folders, results, Place())
    (one,) = read_results(results)
    assert one.running.keys() == one.confusions.keys() == {"1001", "1008"}
    for speaker, counts in one.running.items():
        np.testing.assert_array_equal(counts.sum(axis=1), one.confusions[speaker].sum(axis=1))


def test_results_of_other_settings_are_not_mixed_with_these(comparison, monkeypatch):
    forbid_training(monkeypatch)
    make_appendable(comparison.results)
    append_result(comparison.results, finished("tiny", SPEAKERS))
    with pytest.raises(SerLiveError, match=r"other settings.*another --results and --runs"):
        comparison()


@pytest.mark.parametrize(
    ("recipe", "results"),
    [
        ("compare-streams", "streams"),
        ("ravdess", "ravdess-from-open"),
        ("paper", "paper"),
        ("paper-ravdess", "paper-ravdess"),
    ],
)
def test_stored_results_are_of_the_recipes_that_they_name(recipe, results):
    settings = settings_digest(read_recipe(RECIPES / f"{recipe}.toml"))
    found = read_results(RESULTS / f"{results}.jsonl")
    assert {one.recipe for one in found} == {settings}


def test_no_default_has_changed_since_results_were_stored():
    """A digest leaves out what equals its default, so another default would mix two settings.

    If one must change, let it be part of :meth:`Recipe.changed`, and give stored results new
    digests. New settings need no line here.
    """
    recipe = Recipe("tiny", ("cremad",), TINY, streams=Streams())
    values = {**asdict(recipe), **asdict(recipe.augmentation), **asdict(recipe.streams)}
    stored = {
        **{"normalisation": "causal", "epoch_steps": 100, "patience": 0, "optimiser": "adamw"},
        **{"schedule": "one-cycle", "momentum": 0.9, "weight_decay": 0.05, "soft_labels": 0.0},
        **{"label_smoothing": 0.1, "votes": "voice", "answers_weight": 0.6, "teacher_weight": 0.5},
        **{"shortest": 12, "longest": 150, "averaging": 0.998, "gain_db": (-30.0, 6.0)},
        **{"denoise": 0.75, "floor_db": (-60.0, -3.0), "silent": 0.15, "real_noise": 0.5},
        **{"room": 0.3, "tilt_db": 8.0, "band_limit": 0.15, "telephone": 0.1, "codec": 0.08},
        **{"clipping": 0.12, "offset": 0.05, "speed": (0.9, 1.12), "masked_bins": 30},
        **{"masked_timesteps": 8, "mixup": 0.0, "seconds": 12.0, "lead_s": 6.0, "pause_s": 4.0},
        **{"stays": 0.4, "uneven_db": 6.0, "known": 0.0, "unheard": 0.2, "ordinary": 0.0},
    }
    assert {name: values[name] for name in stored} == stored


def test_a_setting_that_is_left_alone_does_not_change_a_comparison():
    """So lines stay valid when recipes gain settings, also in tables."""
    recipe = read_recipe(RECIPES / "compare-streams.toml")
    assert recipe.changed()["streams"] == {}
    assert "augmentation" in recipe_with(augmentation=Augmentation(mixup=0.2)).changed()
    for changes in (
        {"learning_rate": 1e-5},
        {"streams": Streams(elsewhere=0.5)},
        {"augmentation": Augmentation(mixup=0.2)},
    ):
        assert settings_digest(replace(recipe, **changes)) != settings_digest(recipe)


def test_a_recipe_that_does_not_fit_a_trial_is_refused_in_one_line(comparison):
    with pytest.raises(SerLiveError, match=r"cremad/fixed/tiny/1: sad: both in labels"):
        comparison(recipe_with(network=replace(TINY, labels=("a", "b")), extra_labels=("sad",)))


def compared(monkeypatch, tiny_corpus, tmp_path, *options):
    """Run the command in the test's folder; return its exit code."""
    places = {"--corpora": tiny_corpus, "--cache": tmp_path / "cache", "--runs": tmp_path / "runs",
              "--results": tmp_path / "compare.jsonl"}  # fmt: skip
    return run_train(monkeypatch, "compare", *sum(places.items(), ()), *options)


def test_without_its_packages_the_support_vector_machine_is_left_out_and_the_rest_goes_on(
    tiny_corpus, tmp_path, small_systems, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    monkeypatch.setattr(train.comparing.compare, "COMPARED", (FUNCTIONALS, *small_systems))
    monkeypatch.setattr(train.comparing.compare, "SMALL", ONE_SPLIT)
    text = (RECIPES / "compare.toml").read_text().replace("epochs = 15", "epochs = 1")
    (tmp_path / "quick.toml").write_text(text)
    recipe = ("--recipe", str(tmp_path / "quick.toml"), "--device", "cpu")
    assert compared(monkeypatch, tiny_corpus, tmp_path, *recipe) == 0
    shown = capsys.readouterr()
    (said,) = [line for line in shown.err.splitlines() if FUNCTIONALS in line]
    assert "pip install" in said
    found = read_results(tmp_path / "compare.jsonl")
    assert Counter(one.system for one in found) == {"tiny": 1, "bilstm": 1}
    assert "UA minus c-bilstm" in shown.out
    assert (tmp_path / "compare-cremad-confusion.png").exists()


def test_functionals_are_a_system_like_the_others(tiny_corpus, tmp_path):
    pytest.importorskip("opensmile")
    pytest.importorskip("sklearn")
    folders = Folders(tiny_corpus, tmp_path / "cache", tmp_path / "runs")
    results = tmp_path / "compare.jsonl"
    wanted = list(trials(ONE_SPLIT, [FUNCTIONALS]))
    run_missing(wanted, recipe_with(), folders, results, Place())
    (finished,) = read_results(results)
    assert (finished.confusion.sum(), finished.seed, finished.parameters) == (8, UNSEEDED, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--system", "c-pfsmn-b"], "no system c-pfsmn-b: there are egemaps-svm, lstm"),
        (["--protocol", "nemo"], "no protocol nemo: there are cremad, ravdess"),
        (["--tables"], "no finished trial in"),
    ],
)
def test_mistakes_are_reported_in_one_line(
    tiny_corpus, tmp_path, monkeypatch, capsys, options, message
):
    options = ["--scale", "small", "--device", "cpu", *options]
    assert compared(monkeypatch, tiny_corpus, tmp_path, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


# Tables of the results


def finished(system, rights, seed=1, split="fixed", protocol="cremad", **measured):
    """Make a trial with two labels and, per speaker, ten recordings of each, this many right."""
    confusions = {
        speaker: np.array([[right, 10 - right, 0], [10 - right, right, 0]])
        for speaker, right in rights.items()
    }
    key = f"{protocol}/{split}/{system}/{seed}"
    return Finished(
        key, protocol, ("angry", "sad"), split, system, seed, "", confusions, **measured
    )


SPEAKERS = {f"S{index}": 4 + index % 4 for index in range(12)}
BETTER = {speaker: right + 1 + index % 2 for index, (speaker, right) in enumerate(SPEAKERS.items())}


def test_a_system_differs_from_itself_by_nothing():
    alike = [finished("a", SPEAKERS, seed) for seed in (1, 2)]
    found = difference(alike, [replace(one, system="b") for one in alike])
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_better_on_every_speaker_is_better_beyond_doubt_however_speakers_differ():
    """Speakers are 40 to 70 % right, so unpaired the intervals would overlap."""
    seeds = (1, 2, 3)
    found = difference(
        [finished("a", BETTER, seed) for seed in seeds],
        [finished("b", SPEAKERS, seed) for seed in seeds],
    )
    assert found.value == pytest.approx(15.0)
    assert 10.0 < found.low < found.value < found.high < 20.0


def test_a_lucky_seed_widens_the_interval():
    base = [finished("b", SPEAKERS, seed) for seed in (1, 2)]
    lucky = [finished("a", BETTER, 1), finished("a", SPEAKERS, 2)]
    found = difference(lucky, base)
    assert found.value == pytest.approx(7.5)
    assert found.low == 0.0


@pytest.mark.parametrize(
    "other",
    [
        [],
        [finished("b", {"S0": 5, "S99": 5})],
        [finished("b", SPEAKERS, seed=2)],
        [finished("b", SPEAKERS, split="folds-5/2")],
    ],
)
def test_trials_without_common_speakers_and_seeds_are_not_compared(other):
    assert difference([finished("a", SPEAKERS)], other) is None
    assert difference(other, [finished("a", SPEAKERS)]) is None


def test_two_seeds_on_different_folds_have_no_speaker_in_common():
    scattered = [finished("a", SPEAKERS, 1, "f/1"), finished("a", SPEAKERS, 2, "f/2")]
    assert difference(scattered, scattered) is None


def test_a_deterministic_system_is_compared_with_every_seed():
    fixed = [finished(FUNCTIONALS, SPEAKERS, UNSEEDED)]
    both = [finished(COMPARED_WITH[0], SPEAKERS, 1), finished(COMPARED_WITH[0], BETTER, 2)]
    assert difference(fixed, both).value == pytest.approx(-7.5)
    assert difference(both, fixed).value == pytest.approx(7.5)
    assert difference(fixed, fixed).value == 0.0


def cells(table):
    """Return the rows of a table by system."""
    columns = [list(column.cells) for column in table.columns]
    return {row[0]: row[1:] for row in zip(*columns, strict=True)}


def test_the_tables_hold_means_and_deviations_and_come_from_the_file_alone(tmp_path):
    path = tmp_path / "compare.jsonl"
    make_appendable(path)
    every = dict.fromkeys(SPEAKERS, 5)
    for one in (
        finished(LIVE, dict.fromkeys(SPEAKERS, 8), 1, look_ahead_ms=175.0, train_s=30.0,
                 parameters=720_000, multiply_adds=2_500_000, place="cpu"),
        finished(LIVE, dict.fromkeys(SPEAKERS, 6), 2, look_ahead_ms=175.0, train_s=50.0,
                 parameters=720_000, multiply_adds=2_500_000, place="cpu"),
        finished(COMPARED_WITH[0], every, 1, parameters=2_200_000, multiply_adds=1, train_s=80.0),
        finished(COMPARED_WITH[0], every, 2, parameters=2_200_000, multiply_adds=1, train_s=80.0),
        finished("look-ahead-0", every, 1, look_ahead_ms=15.0),
        finished("look-ahead-0", every, 2, look_ahead_ms=15.0),
        finished("pfsmn", every, 1, protocol="ravdess"),
    ):  # fmt: skip
        append_result(path, one)
    grouped = by_protocol(read_results(path), COMPARED)
    assert {name: list(one) for name, one in grouped.items()} == {
        "cremad": [COMPARED_WITH[0], LIVE, "look-ahead-0"],
        "ravdess": ["pfsmn"],
    }
    recall, accuracy, cost, price = (cells(one) for one in tables("cremad", grouped["cremad"]))
    assert recall[LIVE] == ("70.0", "70.0")
    difference_ = "+20.0 [+10.0, +30.0]"
    assert accuracy[LIVE] == ("2", "70.0 ± 14.1", "70.0 ± 14.1", difference_)
    assert accuracy[COMPARED_WITH[0]] == ("2", "50.0 ± 0.0", "50.0 ± 0.0", "")
    assert cost[LIVE] == ("0.72 M", "40", "0.50", "cpu", "2.50 M")
    assert price == {
        "look-ahead-0": ("15", "50.0", "-20.0 [-30.0, -10.0]"),
        LIVE: ("175", "70.0", ""),
    }
    assert len(tables("ravdess", grouped["ravdess"])) == 2  # no costs and no look-aheads


def test_trials_in_streams_have_tables_of_their_own():
    """Compared with the biLSTM that was trained on streams, if the paper's is not there."""
    worse, better = finished("c-bilstm-rolling", SPEAKERS), finished("c-pfsmn-c-live", BETTER)
    by_system = {
        "c-bilstm-rolling": [replace(worse, running=better.confusions)],
        "c-pfsmn-c-live": [replace(better, running=worse.confusions)],
    }
    _, alone, _, running = tables("cremad", by_system)
    assert alone.columns[-1].header == running.columns[-1].header == "UA minus c-bilstm-rolling"
    assert "in running streams" in running.title
    assert cells(alone)["c-pfsmn-c-live"][-1].startswith("+15.0")
    assert cells(running)["c-pfsmn-c-live"][-1].startswith("-15.0")
    again = Finished.from_json(by_system["c-pfsmn-c-live"][0].to_json())
    np.testing.assert_array_equal(again.running["S0"], worse.confusions["S0"])


def test_the_price_of_latency_begins_at_the_shortest_look_ahead():
    by_system = {
        name: [finished(name, SPEAKERS, look_ahead_ms=ahead)]
        for name, ahead in ((PAPER, 4375.0), (LIVE, 175.0), ("look-ahead-0", 15.0))
    }
    by_system[COMPARED_WITH[0]] = [finished(COMPARED_WITH[0], SPEAKERS)]
    assert [price.system for price in prices(by_system)] == ["look-ahead-0", LIVE, PAPER]


@pytest.mark.parametrize("line", ["{}", "[1]", '{"key": "a"}', "nothing"])
def test_a_line_that_is_not_a_trial_is_named(tmp_path, line):
    path = tmp_path / "compare.jsonl"
    path.write_text(finished("a", SPEAKERS).to_json() + "\n" + line + "\n")
    with pytest.raises(SerLiveError, match="line 2: no finished trial"):
        read_results(path)


def test_an_unwritable_results_file_is_reported_before_training(tmp_path):
    (tmp_path / "compare.jsonl").mkdir()
    with pytest.raises(SerLiveError, match="cannot write"):
        make_appendable(tmp_path / "compare.jsonl")


def test_a_trial_comes_back_from_its_line():
    one = finished("a", SPEAKERS, train_s=1.5)
    assert json.loads(one.to_json())["confusions"]["S0"] == [[4, 6, 0], [6, 4, 0]]
    again = Finished.from_json(one.to_json())
    assert again.to_json() == one.to_json()
    assert again.confusion.sum() == 12 * 20


def test_a_recipe_that_hears_the_validation_speakers_is_refused(comparison):
    with pytest.raises(SerLiveError, match="leave refit out"):
        comparison(replace(comparison.base, refit=True))


def test_a_comparison_goes_on_though_each_system_starts_from_a_run_of_its_own(comparison):
    """Names that a trial fills in are no other settings."""
    base = replace(comparison.base, pretrained="runs/imitation-{system}", teacher=("runs/{seed}",))
    trial = comparison.wanted[0]
    answered = train.comparing.compare._finished(trial, base, [], np.zeros(0, np.int64))
    make_appendable(comparison.results)
    append_result(comparison.results, answered)
    assert train.comparing.compare._done(comparison.results, base) == {trial.key}


def test_each_trial_has_a_teacher_and_a_start_of_its_own():
    teacher = "runs/{protocol}/{split}/live/{seed}"
    base = recipe_with(teacher=(teacher,), pretrained="runs/imitation-{system}")
    trial = Trial("ravdess", "ravdess", EMOTIONS, "ravdess-5/2", "c-pfsmn-a-live", 3)
    recipe = train.comparing.compare._recipe(trial, base)
    assert recipe.teacher == ("runs/ravdess/ravdess-5-2/live/3",)
    assert recipe.pretrained == "runs/imitation-c-pfsmn-a-live"
    with pytest.raises(SerLiveError, match=r"\{fold\}.*: python -m train compare fills in"):
        EarlierRuns.of(recipe_with(teacher=("runs/{fold}",)))
    with pytest.raises(SerLiveError, match=r"\{system\}.*: python -m train compare fills in"):
        EarlierRuns.of(base)
