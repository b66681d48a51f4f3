"""Tuning: settings are chosen on validation speakers and written to a model file."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import soundfile

from model.export import describe_model
from streamer.modelfile.lineage import HeardCorpus, Lineage
from streamer.recognition.recognizer import Recognizer
from streamer.signal import SAMPLE_RATE
from tests.helpers.generated import EMOTIONS
from tests.helpers.places import CLIPS
from tests.helpers.training import run_train
from tests.train.judging.lineages import heard
from train.judging.priors import everyday_shares
from train.judging.tune import candidates
from train.measuring.false_alarms import ordinary_to_choose, ordinary_to_judge


def test_certainty_bounds_are_not_tuned_on_changes_of_emotion(shipped):
    config = shipped.metadata.decision
    assert candidates(config)[0] == config
    assert {(one.certain_from, one.uncertain_below) for one in candidates(config)} == {
        (config.certain_from, config.uncertain_below)
    }


def test_tuning_writes_the_setting_it_shows(
    corpora_and_speech, model_file, tmp_path, monkeypatch, capsys
):
    model, tuned = tmp_path / "judged.onnx", tmp_path / "tuned.onnx"
    metadata = Recognizer.load(model_file).metadata
    describe_model(model_file, replace(metadata, lineage=heard("cremad")), model)
    assert run_train(monkeypatch, "tune", model, "--corpora", corpora_and_speech, "-o", tuned) == 0
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
    assert run_train(monkeypatch, "tune", model, "--corpora", corpora, "-o", tuned) == 0
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
    assert run_train(monkeypatch, "tune", model, "--corpora", corpora_and_speech, "-o", tuned) == 0
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
    assert run_train(monkeypatch, "tune", tmp_path / "own.onnx", "--corpora", corpora) == 2
    assert asked[0] == {"1003"}
    assert "has two emotions, to change between" in capsys.readouterr().err


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
    assert run_train(monkeypatch, *given) == 2
    assert asked[0] == {"bob"}
