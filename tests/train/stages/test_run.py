"""From recipe and corpora to weights: a run, its stops and its records."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save

from streamer.errors import SerLiveError
from streamer.recognition.recognizer import Recognizer
from streamer.sound.files.recording import read_recording
from tests.helpers.generated import EMOTIONS, STREAMED, recipe_with
from tests.helpers.places import CLIPS, ROOT
from tests.helpers.training import changed, have_equal_weights, stopped_at_save
from train.fitting.run_folder import RunFolder
from train.fitting.training import Training
from train.stages.export import export_run
from train.stages.run import run


def test_a_run_goes_from_corpus_to_model_and_resumes(folders, tmp_path):
    recipe = recipe_with(epochs=2)
    whole = run(recipe, folders)
    assert whole["utterances"] == {"train": 16, "validation": 8, "test": 8}
    assert np.sum(whole["validation"]["confusion"]) == 8
    log = (folders.run / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2]
    assert sorted(path.stem for path in folders.run.glob("*.png")) == [
        "confusion",
        "loss",
        "reliability",
        "uar",
    ]

    # Stopped after one epoch and resumed: the same weights as without the stop.
    stopped = replace(folders, run=tmp_path / "stopped")
    with stopped_at_save():
        run(recipe, stopped)
    assert run(recipe, stopped)["validation_uar"] == whole["validation_uar"]
    weights = RunFolder(folders.run).load()[0].state_dict()
    for name, tensor in RunFolder(stopped.run).load()[0].state_dict().items():
        torch.testing.assert_close(tensor, weights[name])

    with pytest.raises(SerLiveError, match="another recipe"):
        run(replace(recipe, epochs=3), folders)

    tested = export_run(folders.run, tmp_path / "tiny.onnx", folders.corpora)
    assert np.shape(tested["cremad"]["confusion"]) == (4, 5)
    for scores in (tested["cremad"], tested["cremad"]["running"]):
        assert scores["rows"] == list(EMOTIONS)
        assert scores["columns"] == [*EMOTIONS, "no verdict"]
    assert np.sum(tested["cremad"]["confusion"]) == 8
    recognizer = Recognizer.load(tmp_path / "tiny.onnx")
    assert recognizer.metadata.labels == EMOTIONS
    assert recognizer.metadata.lineage.facts["split"] == "fixed"
    assert np.sum(tested["cremad"]["running"]["confusion"]) == 8
    assert json.loads((folders.run / "test.json").read_text()) == tested
    running, alone = tested["cremad"]["running"]["uar"], tested["cremad"]["uar"]
    said = recognizer.metadata.training["accuracy"]
    assert said.startswith(
        "on what was held back, in a stream with pauses of 3 s and, after a slash"
    )
    assert f"cremad {running:.1f} / {alone:.1f} % UAR (unseen speakers)" in said
    stream = recognizer.stream()
    assert len(stream.accept(read_recording(CLIPS[0])) + stream.flush()) > 40


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("result.json", lambda whole: whole[:50], "result.json is damaged, or of another version"),
        ("result.json", lambda _: b"[]", "result.json is damaged"),
        (
            "result.json",
            lambda whole: whole.replace(b'"window_timesteps"', b'"window"'),
            "result.json is damaged",
        ),
        *(
            (
                "result.json",
                lambda whole, name=name: whole.replace(f'"{name}"'.encode(), b'"gone"'),
                "result.json is damaged",
            )
            for name in ("network", "prior_spectrum", "parameters", "epoch", "temperature")
        ),
        ("network.safetensors", lambda whole: whole[:-9], "network.safetensors is damaged"),
        ("network.safetensors", lambda _: save({}), "network.safetensors is damaged"),
        ("network.safetensors", None, "network.safetensors is missing"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(folders, tmp_path, name, damage, said):
    run(recipe_with(epochs=1), folders)
    file = folders.run / name
    whole = file.read_bytes()
    file.unlink()
    if damage:
        file.write_bytes(damage(whole))
    with pytest.raises(SerLiveError, match=said):
        export_run(folders.run, tmp_path / "tiny.onnx", folders.corpora)


def test_a_run_does_not_resume_with_other_recordings(folders):
    run(recipe_with(epochs=1), folders)
    assert run(recipe_with(epochs=1), folders)  # the same again
    clips = folders.corpora / "cremad" / "AudioWAV"
    first = min(clips.iterdir())
    first.rename(first.with_name(first.name.replace("1001", "1007")))
    with pytest.raises(SerLiveError, match=r"other recordings .*1 new \(.*1007_.*1 gone"):
        run(recipe_with(epochs=1), folders)
    shutil.rmtree(folders.run)
    assert run(recipe_with(epochs=1), folders)


@pytest.mark.parametrize(
    ("name", "saves"), [("network.safetensors", 1), ("refit/network.safetensors", 3)]
)
def test_a_run_does_not_go_on_from_a_start_that_was_trained_again(folders, tmp_path, name, saves):
    start, recipe = replace(folders, run=tmp_path / "start"), recipe_with(epochs=2, refit=True)
    run(recipe_with(epochs=1, refit=True), start)
    later = replace(recipe, pretrained=str(start.run))
    with stopped_at_save(saves):
        run(later, folders)
    with (
        changed(start.run / name),
        pytest.raises(SerLiveError, match=rf"other recordings or files .*1 changed \(.*{name}"),
    ):
        run(later, folders)
    assert run(later, folders)


def test_a_start_may_be_refit_after_a_run_from_it(folders, tmp_path):
    start = replace(folders, run=tmp_path / "start")
    run(recipe_with(epochs=1), start)
    later = recipe_with(epochs=1, pretrained=str(start.run))
    run(later, folders)
    run(recipe_with(epochs=1, refit=True), start)
    assert run(later, folders)
    assert run(replace(later, refit=True), folders)


@pytest.mark.usefixtures("few_surroundings", "ordinary")
@pytest.mark.parametrize(
    "name", ["noise/House/hum.wav", "noise/impulse_responses/hall.wav", "speech/intent/a/0.flac"]
)
def test_a_run_does_not_go_on_with_other_unlabelled_material(folders, name):
    room = folders.corpora / "noise" / "impulse_responses" / "hall.wav"
    room.parent.mkdir()
    soundfile.write(room, np.eye(1, 1_600)[0], 16_000)
    streams = replace(STREAMED.streams, ordinary=0.3)
    recipe = replace(STREAMED, epochs=1, streams=streams, noises=("noise",))
    with stopped_at_save():
        run(recipe, folders)
    with (
        changed(folders.corpora / name),
        pytest.raises(SerLiveError, match=rf"1 changed \({name}\)"),
    ):
        run(recipe, folders)
    assert run(recipe, folders)


def test_a_run_from_before_files_were_listed_goes_on(folders):
    recipe = replace(STREAMED, epochs=1, noises=("noise",))
    with stopped_at_save():
        run(recipe, folders)
    listed = folders.run / "recordings.json"
    older = {name: one for name, one in json.loads(listed.read_text()).items() if len(one) > 1}
    assert len(older) == 32
    listed.write_text(json.dumps(older))
    assert run(recipe, folders)


def logged(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_training_on_recordings_as_they_are_is_judged_on_them_alone(folders):
    run(recipe_with(epochs=1), folders)
    (record,) = logged(folders.run)
    assert record["validation_sets"] == ["alone"]
    assert len(record["validation_uar"]) == 1


def test_the_log_holds_each_epoch_of_this_training_once(folders, monkeypatch):
    """A stop between log and checkpoint repeats an epoch; without a checkpoint all begins anew."""
    recipe = recipe_with(epochs=2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Training, "save", interrupted)
        run(recipe, folders)
    assert [record["epoch"] for record in logged(folders.run)] == [1]
    run(recipe, folders)
    assert [record["epoch"] for record in logged(folders.run)] == [1, 2]
    with (folders.run / "log.jsonl").open("a") as log:
        log.write('{"epoch": 3, "lo')  # as a power cut leaves it
    run(recipe, folders)
    assert [record["epoch"] for record in logged(folders.run)] == [1, 2]
    (folders.run / "checkpoint.pt").unlink()
    run(replace(recipe, epochs=1), folders)
    assert [record["epoch"] for record in logged(folders.run)] == [1]


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.usefixtures("few_surroundings", "ordinary")
def test_training_on_streams_is_judged_in_streams_too_and_resumes(folders, tmp_path):
    streams = replace(STREAMED.streams, ordinary=0.3)
    recipe = replace(STREAMED, epochs=2, streams=streams, noises=("noise",))
    whole = run(recipe, folders)
    assert np.sum(whole["validation"]["confusion"]) == 3 * 8
    assert [record["validation_sets"] for record in logged(folders.run)] == [
        ["alone", "in streams", "in streams, augmented"]
    ] * 2
    assert all(len(record["validation_uar"]) == 3 for record in logged(folders.run))

    stopped = replace(folders, run=tmp_path / "stopped")
    with stopped_at_save():
        run(recipe, stopped)
    run(recipe, stopped)
    assert have_equal_weights(RunFolder(stopped.run).load()[0], RunFolder(folders.run).load()[0])

    # Ordinary speech is not a label of the exported model, but has an output.
    assert RunFolder(folders.run).load()[0].config.outputs == (*EMOTIONS, "ordinary")
    export_run(folders.run, tmp_path / "tiny.onnx", folders.corpora)
    metadata = Recognizer.load(tmp_path / "tiny.onnx").metadata
    assert (metadata.labels, metadata.ordinary_share) == (EMOTIONS, 0.3)
    assert metadata.lineage.facts["also learnt from"] == "noise; ordinary speech"
    assert "Apache-2.0 (ordinary speech)" in metadata.lineage.facts["licence"]


@pytest.mark.parametrize(
    "streams", ["", "epoch_steps = 1\nbatch = 2\n[streams]\nseconds = 2\n"], ids=["", "streams"]
)
def test_ctrl_c_ends_a_training_with_a_line(folders, tmp_path, streams):
    recipe = tmp_path / "endless.toml"
    recipe.write_text(
        'corpora = ["cremad"]\nlabels = ["angry", "happy", "neutral", "sad"]\n'
        '[network]\nbase = "live"\nhidden = 8\nchannels = [2, 4]\n'
        f"[training]\nepochs = 100000\n{streams}"
    )
    places = {"--corpora": folders.corpora, "--cache": folders.cache, "--run": folders.run}
    command = [sys.executable, "-m", "train", "fit", recipe, *sum(places.items(), ())]
    with subprocess.Popen(
        [*map(str, command), "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        assert json.loads(process.stdout.readline())["epoch"] == 1
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    began, *_, ended = said.splitlines()
    assert str(folders.run) in began
    assert ended == "train: stopped; the same command goes on after the last whole epoch"
