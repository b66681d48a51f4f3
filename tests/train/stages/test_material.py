"""Corpora, own recordings and other material, checked before training."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import train.stages.material
import train.stages.run
from streamer.errors import SerLiveError
from streamer.recognition.recognizer import Recognizer
from tests.helpers.generated import EMOTIONS, STREAMED, TINY, recipe_with
from train.judging.evaluate import EvaluationPlan, utterances_to_test
from train.stages.export import export_run
from train.stages.material import read_parts
from train.stages.run import run


def test_extra_labels_are_trained_on_and_nowhere_else(folders):
    clips = folders.corpora / "cremad" / "AudioWAV"
    for path in list(clips.glob("*_ANG_*")):
        shutil.copy(path, path.with_name(path.name.replace("ANG", "DIS")))
    recipe = recipe_with(extra_labels=("disgust",))
    parts = read_parts(recipe, folders.corpora)
    assert {one.label for one in parts.train} == {*EMOTIONS, "disgust"}
    assert "disgust" in parts.warnings[0]
    assert {one.label for one in parts.validation} == set(EMOTIONS)
    assert {one.label for one in parts.test} == set(EMOTIONS)


def test_few_recordings_of_a_label_give_one_warning(folders, tmp_path, monkeypatch, capsys):
    counts = Counter(one.label for one in read_parts(recipe_with(), folders.corpora).train)
    monkeypatch.setattr(train.stages.material, "FEWEST_RECORDINGS", min(counts.values()))
    run(recipe_with(epochs=1), folders)
    assert "few recordings" not in capsys.readouterr().err
    monkeypatch.setattr(train.stages.material, "FEWEST_RECORDINGS", min(counts.values()) + 1)
    run(recipe_with(epochs=1), replace(folders, run=tmp_path / "warned"))
    assert capsys.readouterr().err.count("few recordings") == 1
    (warning,) = read_parts(recipe_with(), folders.corpora).warnings
    assert all(f"{label} {count}" in warning for label, count in counts.items())


def test_a_label_that_nobody_speaks_is_named_before_training(folders):
    with pytest.raises(SerLiveError, match="no training utterances of disgust"):
        read_parts(recipe_with(extra_labels=("disgust",)), folders.corpora)
    for path in (folders.corpora / "cremad" / "AudioWAV").glob("100[29]_*_SAD_*"):
        path.unlink()
    with pytest.raises(SerLiveError, match="no validation utterances of sad"):
        read_parts(recipe_with(), folders.corpora)


def test_a_label_of_too_few_own_speakers_is_named_with_their_number(folders, own):
    network = replace(TINY, labels=("cats", "dogs"))
    recipe = recipe_with(corpora=(str(own),), network=network)
    read_parts(recipe, folders.corpora)
    for name in ("bob", "eve"):
        shutil.rmtree(own / "cats" / name)
    with pytest.raises(SerLiveError, match=r"recordings of at least 3 speakers; cats has 1$"):
        read_parts(recipe, folders.corpora)
    shutil.rmtree(own / "cats")
    with pytest.raises(SerLiveError, match="no recording is cats, a label of the recipe"):
        read_parts(recipe, folders.corpora)


def test_a_label_that_no_held_out_speaker_has_is_named_with_these_speakers(folders, own):
    for number in range(3):  # six speakers; the fourth is held out to validate
        shutil.copytree(own / "dogs" / "ann", own / "dogs" / f"{number}")
    network = replace(TINY, labels=("cats", "dogs"))
    recipe = recipe_with(corpora=(str(own),), network=network)
    said = r"no recordings of cats by the speakers for validation \(1\)"
    with pytest.raises(SerLiveError, match=said):
        read_parts(recipe, folders.corpora)


def test_an_own_folder_is_trained_on_and_tested_on_held_out_speakers(folders, own, tmp_path):
    network = replace(TINY, labels=("cats", "dogs"))
    recipe = recipe_with(corpora=(str(own),), network=network, split="speakers/ann", epochs=1)
    assert run(recipe, folders)["utterances"] == {"train": 4, "validation": 4, "test": 4}
    tested = export_run(folders.run, tmp_path / "own.onnx", folders.corpora)
    assert np.sum(tested[str(own)]["confusion"]) == 4
    metadata = Recognizer.load(tmp_path / "own.onnx").metadata
    assert metadata.lineage.facts["licence"] == "the owner's (own)"
    assert str(tmp_path) not in metadata.to_json()
    found = utterances_to_test(str(own), metadata, EvaluationPlan(folders.corpora))
    assert {one.speaker for one in found} == {"ann"}


def test_a_bad_recording_of_a_test_speaker_is_reported_before_training(folders, own):
    (own / "cats" / "ann" / "notes.wav").write_text("no sound")
    network = replace(TINY, labels=("cats", "dogs"))
    recipe = recipe_with(corpora=(str(own),), network=network, split="speakers/ann", epochs=1)
    with pytest.raises(SerLiveError, match=r"notes\.wav"):
        run(recipe, folders)
    assert not folders.cache.exists()


def test_missing_validation_speakers_are_reported_before_training(folders, own):
    shutil.rmtree(own / "cats" / "eve")
    shutil.rmtree(own / "dogs" / "eve")
    network = replace(TINY, labels=("cats", "dogs"))
    recipe = recipe_with(corpora=(str(own),), network=network, split="speakers/ann")
    with pytest.raises(SerLiveError, match=r"'speakers/ann' of .* leaves no validation speakers"):
        read_parts(recipe, folders.corpora)


@pytest.mark.usefixtures("few_surroundings")
def test_missing_material_of_streams_is_reported_before_training(folders):
    shutil.rmtree(folders.corpora / "noise")
    for recipe, missed in (
        (replace(STREAMED, noises=("esc10",)), r"no background recordings in .*esc10"),
        (replace(STREAMED, streams=replace(STREAMED.streams, ordinary=0.1)), "no ordinary speech"),
    ):
        with pytest.raises(SerLiveError, match=missed):
            run(recipe, folders)
    assert not (folders.run / "log.jsonl").exists()
