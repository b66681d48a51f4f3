"""Evaluation: verdicts over time, in noise, at other levels, and when emotions change."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.export import describe_model
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import HeardCorpus, Lineage
from streamer.recognition.decision import SILENCE, UNCERTAIN, WARMING_UP, Verdict
from streamer.recognition.recognizer import Recognizer
from streamer.signal import SAMPLE_RATE, SPEECH_THRESHOLD
from streamer.sound.files.recording import read_recording
from tests.helpers.places import CLIPS, ROOT
from train.__main__ import main
from train.corpora.known import Utterance
from train.corpora.own_recordings import UNKNOWN
from train.features.augment import active_rms, load_noises, noise_part
from train.judging.choices import KINDS
from train.judging.conditions import CLEAN, Condition, heard_in
from train.judging.effects import EFFECTS
from train.judging.evaluate import EvaluationPlan, evaluate, evaluate_model, utterances_to_test
from train.judging.false_alarms import ordinary_to_choose, ordinary_to_judge
from train.judging.hearing import StreamResult, decide_again, estimates_known, hear, verdicts_of
from train.judging.measures import answers
from train.judging.priors import everyday_shares
from train.judging.streams import HeardStream, follow, join, plan_streams
from train.judging.tune import candidates

EMOTIONS = ("angry", "happy", "neutral", "sad")


@pytest.fixture(scope="module")
def noise_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora") / "noise" / "House"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(12):
        samples = generator.normal(0, 0.1, 8_000) * np.hanning(8_000)
        soundfile.write(folder / f"hum{number}.wav", samples, SAMPLE_RATE)
    responses = folder.parent / "impulse_responses"
    responses.mkdir()
    soundfile.write(responses / "room.wav", 0.9 ** np.arange(200), SAMPLE_RATE)
    return folder.parent


@pytest.fixture(scope="module")
def corpora(noise_root):
    """Two test speakers and one of each other part in CREMA-D's layout, and a silent recording."""
    folder = noise_root.parent / "cremad" / "AudioWAV"
    folder.mkdir(parents=True)
    for speaker in (1001, 1008, 1002, 1003):
        for clip in CLIPS:
            name = clip.stem.replace("1018", str(speaker))
            soundfile.write(folder / f"{name}.flac", read_recording(clip)[:24_000], SAMPLE_RATE)
    soundfile.write(folder / "1001_DFA_ANG_XX.flac", np.zeros(16_000), SAMPLE_RATE)
    return noise_root.parent


@pytest.fixture
def corpora_and_speech(corpora, tmp_path):
    """The same, with ordinary speech: four commands and a wake word for validation and for test."""
    folder = tmp_path / "corpora"
    shutil.copytree(corpora, folder)
    for sub, kept in (("intent", 4), ("keywords", 1)):
        (folder / "speech" / sub).mkdir(parents=True)
        stems = [f"{sub}{number}" for number in range(80)]
        parts = {"train": [], "validation": [], "test": []}
        for one in stems:
            kind, number = zlib.crc32(one.encode()) % 4, zlib.crc32(one.encode()) // 4
            parts["train" if kind else "test" if number % 2 else "validation"].append(one)
        chosen = [*parts["validation"][:kept], *parts["test"][:kept], *parts["train"][:3]]
        for number, stem in enumerate(chosen):
            samples = read_recording(CLIPS[number % len(CLIPS)])[:32_000]
            soundfile.write(folder / "speech" / sub / f"{stem}.flac", samples, SAMPLE_RATE)
    return folder


def heard(name, split="fixed", *, trained=("1003",), validation=("1002",), test=("1001", "1008")):
    """Make a lineage of one corpus with held-back speakers; for CREMA-D, by its own split."""
    corpus = HeardCorpus(name, False, "-", split, "speakers", trained, validation, test)
    return Lineage((corpus,))


def run_main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
    return main()


# Verdicts over time


@pytest.mark.parametrize("after_s", [0.5, 1.0, 1.5])
def test_the_verdict_after_seconds_is_that_of_the_stream_so_far(shipped, speech, after_s):
    """The stream is cut at that time, not flushed, so the look-ahead counts."""
    samples = np.concatenate([np.zeros(8_000, np.float32), speech[:48_000]])
    heard = hear(shipped, samples)
    first = int((heard.speech >= SPEECH_THRESHOLD).argmax())
    stream = shipped.stream()
    estimates = stream.accept(samples[: first * 640 + round(after_s * SAMPLE_RATE)])
    metadata = shipped.metadata
    cut = Verdict(metadata.labels, metadata.window_timesteps, metadata.decision.speech_on)
    for estimate in estimates:
        cut.add(estimate.probabilities, estimate.speech)
    assert estimates_known(heard, shipped.metadata, after_s) == len(estimates)
    found = verdicts_of([heard], shipped.metadata, after_s).probabilities[0]
    np.testing.assert_allclose(found, cut.probabilities, rtol=0, atol=1e-6)
    whole = verdicts_of([heard], shipped.metadata).probabilities[0]
    assert np.abs(found - whole).max() > 1e-3


def test_after_the_end_all_estimates_are_known(shipped, speech):
    heard = hear(shipped, speech[:24_000])
    assert estimates_known(heard, shipped.metadata, 3.0) == 24_000 // 640


def test_without_speech_there_is_no_verdict_at_any_time(shipped):
    heard = hear(shipped, np.zeros(16_000, np.float32))
    assert answers(*_verdict(heard, shipped)).tolist() == [len(EMOTIONS)]
    assert answers(*_verdict(heard, shipped, 0.5)).tolist() == [len(EMOTIONS)]
    assert answers(*_verdict(hear(shipped, np.zeros(9, np.float32)), shipped)).tolist() == [4]


def _verdict(heard, recognizer, after_s=None):
    found = verdicts_of([heard], recognizer.metadata, after_s)
    return found.probabilities, found.has_verdict


# Noise and level


def test_noise_lies_under_the_speech_by_the_ratio(speech, noise_root):
    noises = []
    for snr_db in (20.0, 0.0):
        mixed = heard_in(Condition(snr_db=snr_db), speech, "cremad/a", noise_root)
        noises.append(mixed - speech)
        rms = np.sqrt(np.mean(noises[-1].astype(np.float64) ** 2))
        assert 20 * np.log10(active_rms(speech) / rms) == pytest.approx(snr_db, abs=0.05)
    np.testing.assert_allclose(noises[0] * 10, noises[1], atol=1e-4)  # the same noise, louder
    other = heard_in(Condition(snr_db=0.0), speech, "cremad/b", noise_root)
    assert not np.allclose(other - speech, noises[1], atol=1e-3)


def test_gain_clips_as_a_converter_does(speech, noise_root):
    loud = heard_in(Condition(gain_db=40.0), speech, "a", noise_root)
    assert np.abs(loud).max() == 1.0
    quiet = heard_in(Condition(gain_db=-20.0), speech, "a", noise_root)
    np.testing.assert_allclose(quiet, speech / 10, rtol=1e-6)
    assert heard_in(CLEAN, speech, "a", noise_root) is speech


def test_training_noise_is_not_used_in_evaluation(noise_root, tmp_path):
    paths = sorted((noise_root / "House").rglob("*.wav"))
    parts = {part: load_noises(noise_root, part) for part in ("train", "test")}
    assert all(parts.values())
    assert sum(map(len, parts.values())) == len(paths)
    assert [noise_part(path) for path in paths].count("test") == len(parts["test"])
    with pytest.raises(SerLiveError, match="no background recordings"):
        heard_in(Condition(snr_db=0.0), np.zeros(9, np.float32), "a", tmp_path)


def test_noises_of_one_minute_are_on_one_side():
    def part(minute, second):
        return noise_part(Path(f"Roads/background-safe-{minute}{second:02d}-abc.opus"))

    minutes = [f"2019070912{minute:02d}" for minute in range(60)]
    for minute in minutes:
        assert len({part(minute, second) for second in range(60)}) == 1
    assert {part(minute, 0) for minute in minutes} == {"train", "test"}


# Streams of changing emotion


def utterances(speakers, each=10):
    return [
        Utterance(Path(f"{speaker}_{label}_{i}.wav"), label, speaker, "cremad")
        for speaker in speakers
        for label in EMOTIONS
        for i in range(each)
    ]


def test_a_stream_is_of_one_speaker_whose_emotion_always_changes():
    streams = plan_streams(utterances(["A", "B"]))
    used = [utterance for stream in streams for utterance in stream]
    assert len(used) == len(set(used)) == 2 * 32
    for stream in streams:
        assert len({one.speaker for one in stream}) == 1
        assert all(a.label != b.label for a, b in pairwise(stream))


def test_another_speaker_changes_no_stream():
    alone = plan_streams(utterances(["B"]))
    assert plan_streams(utterances(["A", "B"]))[-len(alone) :] == alone


def test_voices_of_unknown_speakers_are_not_joined():
    assert plan_streams(utterances([UNKNOWN])) == []


def test_nothing_is_joined_where_nothing_changes():
    assert plan_streams([one for one in utterances(["A"]) if one.label == "sad"]) == []


def test_joined_recordings_start_at_the_returned_indices(speech):
    recordings = [speech[:5_000], speech[7_000:8_000], speech[20_000:26_000]]
    samples, starts = join(recordings)
    assert starts == [0, 5_000 + 4_800, 5_000 + 4_800 + 1_000 + 4_800]
    for start, recording in zip(starts, recordings, strict=True):
        np.testing.assert_array_equal(samples[start : start + len(recording)], recording)
        assert not samples[max(0, start - 4_800) : start].any()
    assert len(samples) == starts[-1] + 6_000


def heard_stream(labels, speech, starts, emotions):
    heard = StreamResult(
        len(labels) * 640, np.zeros((len(labels), 4)), np.array(speech), tuple(labels)
    )
    return HeardStream(tuple(emotions), tuple(starts), heard)


def test_delays_and_changes_are_counted_from_the_first_speech(shipped):
    shown = ["angry"] * 10 + [SILENCE] * 5 + ["angry"] * 4 + ["happy"] * 3 + ["sad"] * 8
    gate = [0.9] * 10 + [0.1] * 5 + [0.9] * 15
    stream = heard_stream(shown, gate, [0, 12 * 640], ["angry", "sad"])
    found = follow([stream], shipped.metadata)
    # Speech from timestep 15 on, shown as sad from 22 on: 8 timesteps, and the look-ahead.
    assert found.delays_s == pytest.approx((8 * 0.04 + 0.175,))
    assert found.lengths_s == pytest.approx((15 * 0.04,))
    assert (found.label_changes, found.false_changes) == (2, 1)
    assert found.minutes == pytest.approx(30 * 0.04 / 60)


def test_what_is_never_shown_is_never_detected(shipped):
    shown = [WARMING_UP] * 3 + ["angry"] * 12 + [UNCERTAIN] * 5
    stream = heard_stream(shown, [0.9] * 20, [0, 10 * 640], ["angry", "sad"])
    found = follow([stream], shipped.metadata)
    assert found.never_detected == 100.0
    assert np.isnan(found.median_delay_s)
    assert found.mean_wait_s == pytest.approx(10 * 0.04)
    assert (found.label_changes, found.false_changes) == (1, 0)


def test_the_decision_can_be_repeated_on_stored_outputs(shipped, speech):
    heard = hear(shipped, speech)
    assert decide_again(heard, shipped.metadata).labels == heard.labels
    slow = replace(shipped.metadata.decision, smoothing_s=5.0)
    assert decide_again(heard, shipped.metadata, slow).labels != heard.labels


def test_certainty_bounds_are_not_tuned_on_changes_of_emotion(shipped):
    config = shipped.metadata.decision
    assert candidates(config)[0] == config
    assert {(one.certain_from, one.uncertain_below) for one in candidates(config)} == {
        (config.certain_from, config.uncertain_below)
    }


# The command


def test_a_corpus_not_trained_on_is_tested_whole(shipped, corpora):
    plan = EvaluationPlan(corpora)
    elsewhere = replace(shipped.metadata, lineage=heard("nemo"))
    assert {u.speaker for u in utterances_to_test("cremad", shipped.metadata, plan)} == {
        "1001",
        "1008",
    }
    assert len({u.speaker for u in utterances_to_test("cremad", elsewhere, plan)}) == 4
    named = replace(plan, split="speakers/1003")
    assert {u.speaker for u in utterances_to_test("cremad", elsewhere, named)} == {"1003"}
    with pytest.raises(SerLiveError, match="does not say"):
        utterances_to_test("cremad", replace(shipped.metadata, lineage=Lineage()), plan)


def test_a_split_that_the_model_was_not_trained_on_is_refused(shipped, corpora, capsys):
    plan = EvaluationPlan(corpora, split="speakers/1003")

    def test_speakers(lineage):
        metadata = replace(shipped.metadata, lineage=lineage)
        return {one.speaker for one in utterances_to_test("cremad", metadata, plan)}

    own = heard(
        "cremad", "speakers/1003", trained=("1001", "1002"), validation=("1008",), test=("1003",)
    )
    assert test_speakers(own) == {"1003"}
    assert not capsys.readouterr().err
    with pytest.raises(SerLiveError, match="trained on the split 'fixed'"):
        test_speakers(heard("cremad"))


def test_everything_is_reported_as_json(corpora, model_file, tmp_path, monkeypatch, capsys):
    path = tmp_path / "figures.json"
    kinds = KINDS
    arguments = ("evaluate", model_file, "--corpora", corpora, "--json", path, "--conditions")
    assert run_main(monkeypatch, *arguments, *kinds) == 0
    said = capsys.readouterr()
    (model,) = json.loads(path.read_text())["models"]
    found = model["corpora"]["cremad"]
    assert (found["trained_on"], found["speakers"]) == (True, 2)
    whole = found["whole"]
    assert whole["without_verdict"] == 1
    assert np.sum(whole["confusion"]) == 9
    assert whole["recall"][0] <= 66.7  # the silent one is angry
    assert list(found["seconds_heard"]) == ["0.5", "1", "1.5", "2", "3"]
    assert list(found["snr_db"]) == ["20", "10", "5", "0"]
    assert list(found["gain_db"]) == ["-30", "-20", "-10", "6", "12"]
    assert found["streams"]["changes_of_emotion"] > 0
    assert list(found["effects"]) == list(EFFECTS)
    for effect in found["effects"].values():
        assert effect["lost"] == pytest.approx(whole["uar"] - effect["uar"], abs=1e-3)
    assert list(found["running"]["pause_s"]) == ["3", "1", "0.4"]
    for session_set in found["running"]["pause_s"].values():
        assert np.sum(session_set["confusion"]) == 9  # each recording once
    assert found["running"]["sessions"] == 6
    assert sum(np.sum(one["confusion"]) for one in found["running"]["place"].values()) == 9
    assert (
        sum(np.sum(one["confusion"]) for one in found["running"]["lead_s_of_first"].values()) == 6
    )
    assert list(found["held"]) == list(EMOTIONS)
    assert (model["ordinary_speech"], "ordinary speech is left out") == (None, said.err[7:34])
    assert "1 without speech are errors" in said.out
    assert said.out.index("in a running stream, pauses of 3 s: UAR") < said.out.index("alone, each")
    assert run_main(monkeypatch, *arguments, *kinds) == 2
    assert "--force" in capsys.readouterr().err


def test_ordinary_speech_is_reported_under_both_priors(
    corpora_and_speech, model_file, tmp_path, monkeypatch, capsys
):
    """The everyday prior turns half of acted emotion and most ordinary speech into neutral."""
    model, path = tmp_path / "everyday.onnx", tmp_path / "figures.json"
    metadata = Recognizer.load(model_file).metadata
    shares = everyday_shares(metadata.labels, 0.99)
    describe_model(model_file, replace(metadata, everyday_prior=shares), model)
    arguments = ("evaluate", model, "--corpora", corpora_and_speech, "--json", path, "--only")
    assert run_main(monkeypatch, *arguments, "ordinary", "sessions") == 0
    out = capsys.readouterr().out
    (found,) = json.loads(path.read_text())["models"]
    alarms = found["ordinary_speech"]
    assert alarms["balanced"]["recordings"] == 4
    for one in alarms.values():
        assert sum(one["shares"].values()) == pytest.approx(100.0, abs=0.01)
        called = sum(one["shares"][label] for label in ("angry", "happy", "sad"))
        assert one["called_an_emotion"] == pytest.approx(called, abs=0.01)
    assert alarms["everyday"]["called_an_emotion"] < alarms["balanced"]["called_an_emotion"]
    acted = found["corpora"]["cremad"]["acted_with_everyday_prior"]
    assert acted["recall"][2] >= found["corpora"]["cremad"]["running"]["pause_s"]["3"]["recall"][2]
    assert found["corpora"]["cremad"]["held"] == {}
    assert "with the prior everyday" in out
    assert "with the everyday prior, pauses of 3 s" in out


def test_ordinary_speech_alone_needs_no_corpus(corpora_and_speech, model_file, monkeypatch, capsys):
    shutil.rmtree(corpora_and_speech / "cremad")
    arguments = ("evaluate", model_file, "--corpora", corpora_and_speech, "--only", "ordinary")
    assert run_main(monkeypatch, *arguments) == 0
    said = capsys.readouterr().out
    assert "4 recordings" in said
    assert run_main(monkeypatch, *arguments, "ordinary") == 0
    assert capsys.readouterr().out == said


def test_missing_ordinary_speech_alone_is_reported_in_one_line(
    corpora_and_speech, model_file, monkeypatch, capsys
):
    for path in (corpora_and_speech / "speech").rglob("*.flac"):
        if zlib.crc32(path.stem.encode()) // 4 % 2:
            path.unlink()
    arguments = ("evaluate", model_file, "--corpora", corpora_and_speech, "--only", "ordinary")
    for _ in range(2):
        assert run_main(monkeypatch, *arguments) == 2
        said = capsys.readouterr()
        assert not said.out
        (line,) = said.err.splitlines()
        assert "no ordinary speech: there is none" in line
        shutil.rmtree(corpora_and_speech / "speech", ignore_errors=True)


def test_a_model_without_neutral_has_no_false_alarms(
    corpora_and_speech, model_file, tmp_path, monkeypatch, capsys
):
    metadata = Recognizer.load(model_file).metadata
    strange = replace(metadata, labels=("angry", "happy", "calm", "sad"), everyday_prior=())
    describe_model(model_file, strange, tmp_path / "calm.onnx")
    arguments = ("evaluate", tmp_path / "calm.onnx", "--corpora", corpora_and_speech)
    assert run_main(monkeypatch, *arguments, "--only", "ordinary") == 0
    said = capsys.readouterr()
    assert "has no label 'neutral'" in said.err
    assert not said.out


def test_a_quick_look_hears_the_first_speakers(corpora, shipped):
    plan = EvaluationPlan(corpora, limit=1)
    assert {one.speaker for one in utterances_to_test("cremad", shipped.metadata, plan)} == {"1001"}
    with pytest.raises(SerLiveError, match="--limit"):
        EvaluationPlan(corpora, limit=0)


def test_one_speaker_has_no_interval(corpora, model_file, tmp_path, monkeypatch, capsys):
    shutil.copytree(corpora, tmp_path / "fewer", ignore=shutil.ignore_patterns("1008_*"))
    assert run_main(monkeypatch, "evaluate", model_file, "--corpora", tmp_path / "fewer") == 0
    said = capsys.readouterr().out
    assert "of 1 speaker;" in said
    assert "(-, 95 % over speakers)" in said
    assert "nan" not in said


def test_the_scores_of_an_export_are_those_of_the_command(corpora, model_file):
    (alone, running) = evaluate(model_file, corpora, ("cremad",))["cremad"]
    assert alone.without_verdict == running.without_verdict == 1
    assert np.sum(alone.confusion) == np.sum(running.confusion) == 9
    (one,) = evaluate_model(model_file, EvaluationPlan(corpora, parts=("alone", "sessions")))
    assert alone.uar == one.whole.scores.uar
    assert running.uar == one.running.headline.voted.scores.uar


def test_a_model_at_chance_elsewhere_is_not_shipped(
    corpora, model_file, tmp_path, monkeypatch, capsys
):
    stranger = tmp_path / "stranger.onnx"
    metadata = Recognizer.load(model_file).metadata
    # The labels are shifted by one, so every confident answer is wrong.
    shifted = (*metadata.labels[1:], metadata.labels[0])
    elsewhere = replace(metadata, labels=shifted, lineage=heard("ravdess"))
    describe_model(model_file, elsewhere, stranger)
    arguments = ("evaluate", model_file, stranger, "--corpora", corpora, "--transfer")
    assert run_main(monkeypatch, *arguments) == 1
    said = capsys.readouterr()
    assert "stranger.onnx on cremad" in said.err
    assert model_file.name not in said.err
    assert "!" in said.out
    # If the model was trained on every corpus, there is nothing to judge.
    assert run_main(monkeypatch, "evaluate", model_file, *arguments[3:]) == 2


def test_tuning_writes_the_setting_it_shows(
    corpora_and_speech, model_file, tmp_path, monkeypatch, capsys
):
    model, tuned = tmp_path / "judged.onnx", tmp_path / "tuned.onnx"
    metadata = Recognizer.load(model_file).metadata
    describe_model(model_file, replace(metadata, lineage=heard("cremad")), model)
    assert run_main(monkeypatch, "tune", model, "--corpora", corpora_and_speech, "-o", tuned) == 0
    rows = [line.strip("│").split("│") for line in capsys.readouterr().out.splitlines()]
    _, smoothing, margin, *_ = next(row for row in rows if row[0].strip() == "1")
    written = Recognizer.load(tuned).metadata
    decision = written.decision
    assert (decision.smoothing_s, decision.switch_margin) == (float(smoothing), float(margin))
    _, neutral, below, *_ = next(row for row in rows if row[0].strip() == "chosen")
    assert written.everyday_prior == everyday_shares(metadata.labels, float(neutral))
    assert decision.uncertain_below == float(below)


def test_without_ordinary_speech_no_prior_is_chosen(
    corpora, model_file, tmp_path, monkeypatch, capsys
):
    model, tuned = tmp_path / "judged.onnx", tmp_path / "tuned.onnx"
    metadata = Recognizer.load(model_file).metadata
    describe_model(model_file, replace(metadata, lineage=heard("cremad")), model)
    assert run_main(monkeypatch, "tune", model, "--corpora", corpora, "-o", tuned) == 0
    assert "no everyday prior is chosen" in capsys.readouterr().err
    assert Recognizer.load(tuned).metadata.everyday_prior == metadata.everyday_prior


def test_choosing_and_judging_use_different_ordinary_speech(corpora_and_speech):
    chosen, judged = (
        {path.stem for path in found(corpora_and_speech)}
        for found in (ordinary_to_choose, ordinary_to_judge)
    )
    assert len(chosen) == len(judged) == 4
    assert not chosen & judged
    assert not any("keywords" in stem for stem in chosen | judged)


def test_without_speech_in_ordinary_speech_no_prior_is_chosen(
    corpora_and_speech, model_file, tmp_path, monkeypatch, capsys
):
    for path in (corpora_and_speech / "speech").rglob("*.flac"):
        soundfile.write(path, np.zeros(16_000), SAMPLE_RATE)
    model, tuned = tmp_path / "judged.onnx", tmp_path / "tuned.onnx"
    metadata = Recognizer.load(model_file).metadata
    describe_model(model_file, replace(metadata, lineage=heard("cremad")), model)
    assert run_main(monkeypatch, "tune", model, "--corpora", corpora_and_speech, "-o", tuned) == 0
    said = capsys.readouterr()
    assert "no everyday prior is chosen" in said.err
    assert "nan" not in said.out
    assert Recognizer.load(tuned).metadata.everyday_prior == metadata.everyday_prior


def test_a_model_is_tuned_on_the_validation_speakers_of_its_own_split(
    corpora, model_file, tmp_path, monkeypatch, capsys
):
    metadata = Recognizer.load(model_file).metadata
    own = heard("cremad", "speakers/1003", validation=("1003",), trained=("1001",), test=())
    describe_model(model_file, replace(metadata, lineage=own), tmp_path / "own.onnx")
    asked = []

    def streams_of(_pool, _model, utterances, *_):
        asked.append({one.speaker for one in utterances})
        return []

    monkeypatch.setattr("train.judging.tune.hear_streams", streams_of)
    assert run_main(monkeypatch, "tune", tmp_path / "own.onnx", "--corpora", corpora) == 2
    assert asked[0] == {"1003"}
    assert "no validation speakers" in capsys.readouterr().err


def test_a_model_of_own_recordings_is_tuned_on_held_back_recordings(
    corpora, model_file, tmp_path, monkeypatch
):
    folder = tmp_path / "voices"
    for speaker in ("ann", "bob"):
        for clip, label in zip(CLIPS, EMOTIONS, strict=True):
            (folder / label / speaker).mkdir(parents=True)
            shutil.copy(clip, folder / label / speaker)
    metadata = Recognizer.load(model_file).metadata
    corpus = HeardCorpus("voices", True, "-", "fixed", "speakers", ("ann",), ("bob",), ())
    own = replace(metadata, lineage=Lineage((corpus,)))
    describe_model(model_file, own, tmp_path / "own.onnx")
    asked = []

    def streams_of(_pool, _model, utterances, *_):
        asked.append({one.speaker for one in utterances})
        return []

    monkeypatch.setattr("train.judging.tune.hear_streams", streams_of)
    given = ("tune", tmp_path / "own.onnx", "--corpora", corpora, "--corpus", folder)
    assert run_main(monkeypatch, *given) == 2
    assert asked[0] == {"bob"}


def test_evaluation_needs_no_torch():
    code = "import train.judging.assess, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
