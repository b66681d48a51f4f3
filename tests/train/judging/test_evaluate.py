"""Evaluation of model files by the command, and its figures as JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest

from model.export import describe_model
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import Lineage
from streamer.recognition.recognizer import Recognizer
from tests.helpers.generated import EMOTIONS
from tests.helpers.places import ROOT
from tests.helpers.training import run_train
from tests.train.judging.lineages import heard
from train.judging.evaluate import EvaluationPlan, evaluate, evaluate_model, utterances_to_test
from train.judging.priors import everyday_shares
from train.measuring.choices import KINDS
from train.measuring.effects import EFFECTS


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
    assert run_train(monkeypatch, *arguments, *kinds) == 0
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
    in_streams = found["running"]["pause_s"]["3"]
    for name in ("snr_db", "gain_db", "effects"):
        for one in found[name].values():
            assert np.sum(one["running"]["confusion"]) == 9
            lost = in_streams["uar"] - one["running"]["uar"]
            assert one["running"]["lost"] == pytest.approx(lost, abs=1e-3)
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
    assert "in other conditions, alone and in running streams" in " ".join(said.out.split())
    assert said.out.index("in a running stream, pauses of 3 s: UAR") < said.out.index("alone, each")
    assert run_train(monkeypatch, *arguments, *kinds) == 2
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
    assert run_train(monkeypatch, *arguments, "ordinary", "sessions") == 0
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
    assert run_train(monkeypatch, *arguments) == 0
    said = capsys.readouterr().out
    assert "4 recordings" in said
    assert run_train(monkeypatch, *arguments, "ordinary") == 0
    assert capsys.readouterr().out == said


def test_missing_ordinary_speech_alone_is_reported_in_one_line(
    corpora_and_speech, model_file, monkeypatch, capsys
):
    for path in (corpora_and_speech / "speech").rglob("*.flac"):
        if zlib.crc32(path.stem.encode()) // 4 % 2:
            path.unlink()
    arguments = ("evaluate", model_file, "--corpora", corpora_and_speech, "--only", "ordinary")
    for _ in range(2):
        assert run_train(monkeypatch, *arguments) == 2
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
    assert run_train(monkeypatch, *arguments, "--only", "ordinary") == 0
    said = capsys.readouterr()
    assert "has no label 'neutral'" in said.err
    assert not said.out


def test_a_quick_look_hears_the_first_speakers(corpora, shipped, monkeypatch, capsys):
    plan = EvaluationPlan(corpora, limit=1)
    assert {one.speaker for one in utterances_to_test("cremad", shipped.metadata, plan)} == {"1001"}
    assert run_train(monkeypatch, "evaluate", "model.onnx", "--limit", "0") == 2
    assert "--limit: '0' is not a whole number, 1 or more" in capsys.readouterr().err


def test_one_speaker_has_no_interval(corpora, model_file, tmp_path, monkeypatch, capsys):
    shutil.copytree(corpora, tmp_path / "fewer", ignore=shutil.ignore_patterns("1008_*"))
    assert run_train(monkeypatch, "evaluate", model_file, "--corpora", tmp_path / "fewer") == 0
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
    assert run_train(monkeypatch, *arguments) == 1
    said = capsys.readouterr()
    assert "stranger.onnx on cremad" in said.err
    assert model_file.name not in said.err
    assert "!" in said.out
    # If the model was trained on every corpus, there is nothing to judge.
    assert run_train(monkeypatch, "evaluate", model_file, *arguments[3:]) == 2


def test_evaluation_needs_no_torch():
    code = "import train.judging.assess, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
