"""From weights to the ONNX file that ships."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import pytest

from model.baselines import c_bilstm
from model.export import describe_model, for_inference
from streamer.errors import RunFailure, SerLiveError
from streamer.recognition.recognizer import Recognizer
from tests.helpers.generated import recipe_with
from tests.helpers.training import run_train
from train.fitting.run_folder import RunFolder
from train.judging.tune import tune
from train.stages.export import export_run
from train.stages.run import run


def test_an_exported_refit_states_that_it_heard_the_validation_speakers(
    folders, tmp_path, monkeypatch
):
    run(recipe_with(epochs=1, refit=True), folders)
    model, judged = tmp_path / "refit.onnx", tmp_path / "judged.onnx"
    for path, options in ((model, []), (judged, ["--judged"])):
        arguments = ["export", folders.run, "-o", path, "--corpora", folders.corpora, *options]
        assert run_train(monkeypatch, *arguments) == 0
        assert (folders.run / "test.json").exists() == (path == judged)
    assert (folders.run / "refit" / "test.json").exists()
    of_model, of_judged = (Recognizer.load(path).metadata for path in (model, judged))
    assert (of_model.name, of_judged.name) == ("tiny-1", "tiny-1-judged")
    assert of_model.lineage.is_refit
    assert "validation speakers" in of_model.lineage.facts
    assert not of_judged.lineage.is_refit
    with pytest.raises(SerLiveError, match="was trained on its validation speakers"):
        tune(model, folders.corpora)
    # Chosen on the validation speakers, by the network that has not heard them.
    count = len(of_judged.labels)
    prior = (1 - 0.1 * (count - 1), *[0.1] * (count - 1))
    decision = replace(of_judged.decision, switch_margin=0.123)
    chosen = replace(of_judged, everyday_prior=prior, decision=decision)
    describe_model(judged, chosen, tmp_path / "tuned.onnx")
    options = ["--corpora", folders.corpora, "--like", tmp_path / "tuned.onnx", "--force"]
    assert run_train(monkeypatch, "export", folders.run, "-o", model, *options) == 0
    liked = Recognizer.load(model).metadata
    assert (liked.name, liked.everyday_prior, liked.decision) == ("tiny-1", prior, decision)
    for path, refitted in ((model, True), (judged, False)):
        network = RunFolder(folders.run).load(refitted)[0]
        bias = for_inference(network).classifier.bias.detach().numpy()
        assert bias.tobytes() in path.read_bytes()


def test_a_corpus_that_is_only_tested_may_be_absent(folders, tmp_path, capsys):
    run(replace(recipe_with(epochs=1), transfer=("ravdess",)), folders)
    capsys.readouterr()
    tested = export_run(folders.run, tmp_path / "tiny.onnx", folders.corpora)
    assert list(tested) == ["cremad"]
    assert f"ravdess is left out: no {folders.corpora / 'ravdess'}" in capsys.readouterr().err
    # One that was trained on may not.
    (folders.corpora / "cremad").rename(tmp_path / "elsewhere")
    with pytest.raises(SerLiveError, match="cremad"):
        export_run(folders.run, tmp_path / "other.onnx", folders.corpora)
    assert not (tmp_path / "other.onnx").exists()


def test_a_model_file_is_not_overwritten_without_force(tmp_path, monkeypatch, capsys):
    path = tmp_path / "model.onnx"
    path.write_text("precious")
    assert run_train(monkeypatch, "export", tmp_path, "-o", path) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == "precious"


def test_a_full_disk_leaves_the_older_model_as_it_was(model_file, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_text("precious")

    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    metadata = Recognizer.load(model_file).metadata
    with pytest.raises(RunFailure, match=f"cannot write {path}: No space left on device"):
        describe_model(model_file, metadata, path)
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_text() == "precious"


def test_a_model_whose_choices_are_taken_is_not_overwritten(
    model_file, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "tuned.onnx"
    path.write_bytes(model_file.read_bytes())
    given = ("export", tmp_path, "-o", path, "--like", path, "--force")
    assert run_train(monkeypatch, *given) == 2
    assert "is to be read; name another file" in capsys.readouterr().err


def test_a_model_file_ends_in_onnx(tmp_path, monkeypatch, capsys):
    assert run_train(monkeypatch, "export", tmp_path, "-o", tmp_path / "mine.foo") == 2
    assert "a model file ends in .onnx, not" in capsys.readouterr().err


def test_an_unfinished_run_cannot_be_exported(tmp_path):
    with pytest.raises(SerLiveError, match="no finished run"):
        export_run(tmp_path, tmp_path / "model.onnx", tmp_path)


def test_a_network_that_needs_the_end_cannot_be_exported(folders, tmp_path):
    system = replace(c_bilstm(), channels=(2, 4), hidden=8, layers=1)
    run(recipe_with(network=system, epochs=1), folders)
    assert RunFolder(folders.run).load()[0].config == system
    with pytest.raises(SerLiveError, match="cannot follow a stream"):
        export_run(folders.run, tmp_path / "model.onnx", folders.corpora)


def test_a_run_on_whole_utterances_is_tested_as_trained_and_never_exported(folders, tmp_path):
    recipe = recipe_with(epochs=1, normalisation="utterance")
    run(recipe, folders)
    with pytest.raises(SerLiveError, match="normalised by whole utterances"):
        export_run(folders.run, tmp_path / "whole.onnx", folders.corpora)
