"""From recipe and corpora to weights, and from weights to the ONNX file that ships."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

import train.stages.material
import train.stages.run
from model.baselines import c_bilstm
from model.config import BlockConfig
from model.export import describe_model, for_inference
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import HeardCorpus, Lineage
from streamer.recognition.recognizer import Recognizer
from streamer.sound.files.recording import read_recording
from tests.helpers.generated import EMOTIONS, STREAMED, TINY, recipe_with
from tests.helpers.places import CLIPS, ROOT
from train.__main__ import main
from train.fitting.epochs import Training
from train.fitting.epochs import fit as train_fit
from train.fitting.run_folder import Folders, RunFolder
from train.judging.evaluate import EvaluationPlan, utterances_to_test
from train.judging.tune import tune
from train.stages.export import export_run, metadata_of
from train.stages.material import read_parts
from train.stages.run import run


@pytest.fixture
def folders(tiny_corpus, tmp_path):
    return Folders(tiny_corpus, tmp_path / "cache", tmp_path / "run")


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
    save = Training.save

    def save_and_stop(training, path):
        save(training, path)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, stopped)
    assert run(recipe, stopped)["validation_uar"] == whole["validation_uar"]
    weights = RunFolder(folders.run).load()[0].state_dict()
    for name, tensor in RunFolder(stopped.run).load()[0].state_dict().items():
        torch.testing.assert_close(tensor, weights[name])

    with pytest.raises(SerLiveError, match="another recipe"):
        run(replace(recipe, epochs=3), folders)

    tested = export_run(folders.run, tmp_path / "tiny.onnx", folders.corpora)
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


def test_a_finished_run_teaches_those_with_its_labels(folders, tmp_path):
    run(recipe_with(epochs=1), folders)
    student = replace(folders, run=tmp_path / "student")
    taught = recipe_with(epochs=1, teacher=(str(folders.run), str(folders.run)))
    assert run(taught, student)["recipe"]["teacher"] == taught.teacher
    with pytest.raises(SerLiveError, match=r"teacher .* knows angry, happy, neutral, sad"):
        run(
            replace(taught, network=replace(taught.network, labels=EMOTIONS[:3])),
            replace(folders, run=tmp_path / "other"),
        )
    unstarted = Folders(folders.corpora, tmp_path / "empty", tmp_path / "unstarted")
    with pytest.raises(SerLiveError, match="no finished run"):
        run(recipe_with(teacher=(str(folders.run), "nowhere")), unstarted)
    assert not unstarted.cache.exists()


@pytest.fixture
def refits(monkeypatch):
    """Record the arguments of every refit: utterances, epochs, teachers, start."""
    calls, prepared = [], []

    def training_data(recipe, utterances, *others):
        prepared.append(utterances)
        return real_data(recipe, utterances, *others)

    def refit(recipe, data, epochs, folder, place, teachers, pretrained):
        calls.append((prepared[-1], epochs, teachers, pretrained))
        return real_refit(recipe, data, epochs, folder, place, teachers, pretrained)

    real_data, real_refit = train.stages.material.training_data, train.stages.run.refit
    monkeypatch.setattr(train.stages.run, "training_data", training_data)
    monkeypatch.setattr(train.stages.run, "refit", refit)
    return calls


def test_a_refit_hears_the_validation_speakers_once_the_epoch_is_chosen(folders, tmp_path, refits):
    taught_by, plain = tmp_path / "teacher", replace(folders, run=tmp_path / "plain")
    ahead = replace(TINY, blocks=(BlockConfig(2, 3),))
    run(recipe_with(epochs=2, network=ahead, refit=True), replace(folders, run=taught_by))
    taught = recipe_with(epochs=2, teacher=(str(taught_by),))
    chosen = run(taught, plain)
    assert len(refits) == 1
    result = run(replace(taught, refit=True), folders)
    teacher, of_teacher = RunFolder(taught_by).load(refitted=True)
    parts = read_parts(taught, folders.corpora)
    for heard, *_ in refits:
        assert heard == [*parts.train, *parts.validation]
        assert not {one.speaker for one in heard} & {one.speaker for one in parts.test}
    assert [epochs for _, epochs, *_ in refits] == [of_teacher["epoch"], result["epoch"]]
    assert equal(refits[1][2].networks[0], teacher)
    # The refit does not change the choice, its figures and its temperature.
    assert result | {"recipe": chosen["recipe"]} == chosen
    judged, refitted = (RunFolder(folders.run).load(one)[0] for one in (False, True))
    before = RunFolder(plain.run).load()[0]
    assert equal(judged, before)
    assert not equal(refitted, judged)
    assert not equal(teacher, RunFolder(taught_by).load()[0])
    assert equal(RunFolder(plain.run).load(refitted=True)[0], before)


def equal(network, other):
    weights = other.state_dict()
    return all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_a_refit_starts_from_a_refit_network_and_a_fit_from_the_judged_one(
    folders, tmp_path, refits, monkeypatch
):
    run(recipe_with(epochs=1, refit=True), folders)
    starts = []

    def fit(*arguments):
        starts.append(arguments[-1])
        return train_fit(*arguments)

    monkeypatch.setattr(train.stages.run, "fit", fit)
    later = recipe_with(epochs=1, refit=True, pretrained=str(folders.run))
    run(later, replace(folders, run=tmp_path / "later"))
    assert equal(starts[0], RunFolder(folders.run).load()[0])
    assert equal(refits[-1][3], RunFolder(folders.run).load(refitted=True)[0])


def test_a_refit_hears_the_extra_labels_too(folders, refits):
    clips = folders.corpora / "cremad" / "AudioWAV"
    for path in list(clips.glob("*_ANG_*")):
        shutil.copy(path, path.with_name(path.name.replace("ANG", "DIS")))
    run(recipe_with(epochs=1, refit=True, extra_labels=("disgust",)), folders)
    assert sum(one.label == "disgust" for one in refits[0][0]) == 4 + 2


@pytest.mark.parametrize("saves", [1, 2, 3])
def test_a_refit_resumes_wherever_it_was_stopped(folders, tmp_path, monkeypatch, saves):
    """Two epochs each of the network and its refit."""
    recipe = recipe_with(epochs=2, refit=True)

    def keep_newest(training, uar):  # so that the refits have two as well
        keep_if_best(training, uar + training.epoch * 1000)

    keep_if_best = Training.keep_if_best
    monkeypatch.setattr(Training, "keep_if_best", keep_newest)
    run(recipe, folders)
    left = [saves]

    def save_and_stop(training, path):
        save(training, path)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    save = Training.save
    stopped = replace(folders, run=tmp_path / "stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, stopped)
    assert not (stopped.run / "result.json").exists()
    run(recipe, stopped)
    for refitted in (False, True):
        assert equal(
            RunFolder(stopped.run).load(refitted)[0], RunFolder(folders.run).load(refitted)[0]
        )


def test_a_finished_run_can_be_refit_later_and_is_not_fitted_again(folders, monkeypatch):
    run(recipe_with(epochs=2), folders)
    before = RunFolder(folders.run).load()[0]
    epochs = []
    train_epoch = Training.train_epoch

    def counted(training, *arguments):
        epochs.append(training._recipe.refit)
        return train_epoch(training, *arguments)

    monkeypatch.setattr(Training, "train_epoch", counted)
    run(recipe_with(epochs=2, refit=True), folders)
    assert epochs
    assert all(epochs)
    assert equal(RunFolder(folders.run).load()[0], before)


def test_a_refit_of_an_earlier_fit_is_not_reused(folders):
    recipe = recipe_with(epochs=2, refit=True)
    run(recipe, folders)
    before = RunFolder(folders.run).load(refitted=True)[0]
    for name in ("checkpoint.pt", "result.json"):
        (folders.run / name).unlink()
    for path in (folders.corpora / "cremad" / "AudioWAV").glob("*_SAD_*"):
        shutil.copy(path.with_name(path.name.replace("SAD", "HAP")), path)
    run(recipe, folders)
    assert not equal(RunFolder(folders.run).load(refitted=True)[0], before)


def test_an_exported_refit_states_that_it_heard_the_validation_speakers(
    folders, tmp_path, monkeypatch
):
    run(recipe_with(epochs=1, refit=True), folders)
    model, judged = tmp_path / "refit.onnx", tmp_path / "judged.onnx"
    for path, options in ((model, []), (judged, ["--judged"])):
        arguments = ["export", folders.run, "-o", path, "--corpora", folders.corpora, *options]
        monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
        assert main() == 0
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
    monkeypatch.setattr(
        sys, "argv", list(map(str, ["train", "export", folders.run, "-o", model, *options]))
    )
    assert main() == 0
    liked = Recognizer.load(model).metadata
    assert (liked.name, liked.everyday_prior, liked.decision) == ("tiny-1", prior, decision)
    for path, refitted in ((model, True), (judged, False)):
        network = RunFolder(folders.run).load(refitted)[0]
        bias = for_inference(network).classifier.bias.detach().numpy()
        assert bias.tobytes() in path.read_bytes()


def first_loss(folder):
    return json.loads((folder / "log.jsonl").read_text().splitlines()[0])["loss"]


def test_a_run_starts_from_another_one(folders, tmp_path):
    run(recipe_with(epochs=1), folders)
    recipe = recipe_with(epochs=1, pretrained=str(folders.run))
    started = replace(folders, run=tmp_path / "started")
    assert run(recipe, started)["recipe"]["pretrained"] == str(folders.run)
    assert first_loss(started.run) != first_loss(folders.run)  # all else is the same
    with pytest.raises(SerLiveError, match="no finished run"):
        run(recipe_with(pretrained="nowhere"), replace(folders, run=tmp_path / "other"))


def test_a_start_of_another_shape_is_refused_before_anything_is_prepared(folders, tmp_path):
    run(recipe_with(epochs=1), folders)
    wider = replace(TINY, hidden=TINY.hidden + 8)
    fresh = Folders(folders.corpora, tmp_path / "empty", tmp_path / "started")
    with pytest.raises(SerLiveError, match=rf"{folders.run.name}: .* differs .* in hidden$"):
        run(recipe_with(pretrained=str(folders.run), network=wider), fresh)
    assert not fresh.cache.exists()


def learnt_from(folders, *corpora):
    """Rewrite the lineage of a finished run."""
    result = json.loads((folders.run / "result.json").read_text())
    result["lineage"]["corpora"] = [asdict(one) for one in corpora]
    (folders.run / "result.json").write_text(json.dumps(result))


def corpora_heard(result):
    return {one["name"] for one in result["lineage"]["corpora"]}


OTHERS = HeardCorpus("ravdess", False, "CC-BY-NC-SA-4.0", "fixed", "speakers", ("01",), (), ("02",))


def test_a_model_names_its_start_and_its_teachers(folders, tmp_path):
    result = run(recipe_with(epochs=1), folders)
    (own,) = Lineage.from_dict(result["lineage"]).corpora
    assert (own.name, own.trained, own.validation, own.test) == (
        "cremad",
        ("1003", "1004", "1005", "1006"),
        ("1002", "1009"),
        ("1001", "1008"),
    )
    learnt_from(folders, own, OTHERS)
    for name, changes in (
        ("started", {"pretrained": str(folders.run)}),
        ("taught", {"teacher": (str(folders.run),)}),
    ):
        later = replace(folders, run=tmp_path / name)
        assert corpora_heard(run(recipe_with(epochs=1, **changes), later)) == {"cremad", "ravdess"}
        export_run(later.run, tmp_path / f"{name}.onnx", folders.corpora)
        said = Recognizer.load(tmp_path / f"{name}.onnx").metadata.lineage.facts
        assert said["trained on"] == "cremad, ravdess"
        assert "CC-BY-NC-SA-4.0 (ravdess)" in said["licence"]


def beside(result):
    return {one["name"]: one["licence"] for one in result["lineage"]["beside"]}


@pytest.mark.usefixtures("few_surroundings", "ordinary")
def test_a_model_names_other_material_of_its_own_and_of_its_start(folders, tmp_path):
    rooms = folders.corpora / "noise" / "impulse_responses"
    rooms.mkdir()
    soundfile.write(rooms / "room.wav", 0.9 ** np.arange(200), 16_000)
    own = {"noise": "CC-BY-NC-SA-4.0", "ordinary speech": "Apache-2.0", "measured rooms": "MIT"}
    streams = replace(STREAMED.streams, ordinary=0.3)
    recipe = replace(STREAMED, epochs=1, streams=streams, noises=("noise",))
    assert beside(run(recipe, folders)) == own
    later = replace(folders, run=tmp_path / "later")
    as_recorded = recipe_with(epochs=1, pretrained=str(folders.run))
    started = run(as_recorded, later)
    assert beside(started) == own
    assert beside(run(recipe_with(epochs=1), replace(folders, run=tmp_path / "none"))) == {}
    dry = replace(recipe, noises=(), augmentation=recipe.augmentation.without(["rooms"]))
    assert "measured rooms" not in beside(run(dry, replace(folders, run=tmp_path / "dry")))
    said = metadata_of(RunFolder(later.run).load()[0], started, {}, False).lineage.facts
    assert said["also learnt from"] == "noise; ordinary speech; measured rooms"
    assert "CC-BY-NC-SA-4.0 (noise); Apache-2.0 (ordinary speech)" in said["licence"]


def test_runs_that_heard_held_out_speakers_are_refused(folders, tmp_path):
    result = run(recipe_with(epochs=1), folders)
    (own,) = Lineage.from_dict(result["lineage"]).corpora
    later = replace(folders, run=tmp_path / "later")
    for heard, changes in (
        (replace(own, trained=("1001",), test=("1003",)), {}),
        (replace(own, trained=("1002",), validation=("1003",)), {}),
        (OTHERS, {"transfer": ("ravdess",)}),
    ):
        learnt_from(folders, heard)
        for source in ({"pretrained": str(folders.run)}, {"teacher": (str(folders.run),)}):
            with pytest.raises(SerLiveError, match=rf"has heard {heard.name} by the split"):
                run(recipe_with(epochs=1, **changes, **source), later)


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


@pytest.fixture
def own(tmp_path):
    """Own recordings: class folders, each with a folder per speaker."""
    for clip, label in zip(CLIPS, ("cats", "dogs", "cats", "dogs"), strict=True):
        for speaker in ("ann", "bob", "eve"):
            file = tmp_path / "own" / label / speaker / clip.name
            file.parent.mkdir(parents=True, exist_ok=True)
            gain = 1.0 - 0.1 * ("ann", "bob", "eve").index(speaker)  # no two recordings are equal
            soundfile.write(file, gain * read_recording(clip), 16_000)
    return tmp_path / "own"


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


def logged(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_training_on_recordings_as_they_are_is_judged_on_them_alone(folders):
    run(recipe_with(epochs=1), folders)
    (record,) = logged(folders.run)
    assert record["validation_sets"] == ["alone"]
    assert len(record["validation_uar"]) == 1


@pytest.fixture
def ordinary(folders):
    """Ordinary speech among the corpora, in its official layout."""
    for number in range(6):
        for kind, clip in (("intent/a", CLIPS[0]), ("keywords/b", CLIPS[1])):
            path = folders.corpora / "speech" / kind / f"{number}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(clip.read_bytes())


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
    save = Training.save

    def save_and_stop(training, path):
        save(training, path)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, stopped)
    run(recipe, stopped)
    assert equal(RunFolder(stopped.run).load()[0], RunFolder(folders.run).load()[0])

    # Ordinary speech is not a label of the exported model, but has an output.
    assert RunFolder(folders.run).load()[0].config.outputs == (*EMOTIONS, "ordinary")
    export_run(folders.run, tmp_path / "tiny.onnx", folders.corpora)
    metadata = Recognizer.load(tmp_path / "tiny.onnx").metadata
    assert (metadata.labels, metadata.ordinary_share) == (EMOTIONS, 0.3)
    assert metadata.lineage.facts["also learnt from"] == "noise; ordinary speech"
    assert "Apache-2.0 (ordinary speech)" in metadata.lineage.facts["licence"]


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
    assert ended == "train: stopped; the same command goes on"


def test_a_model_file_is_not_overwritten_without_force(tmp_path, monkeypatch, capsys):
    path = tmp_path / "model.onnx"
    path.write_text("precious")
    monkeypatch.setattr(sys, "argv", ["train", "export", str(tmp_path), "-o", str(path)])
    assert main() == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == "precious"


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


def test_runs_with_another_normalisation_are_refused_as_start_and_teacher(folders, tmp_path):
    run(recipe_with(epochs=1, normalisation="utterance"), folders)
    later = replace(folders, run=tmp_path / "later")
    for named in ({"pretrained": str(folders.run)}, {"teacher": (str(folders.run),)}):
        with pytest.raises(SerLiveError, match="has normalisation = 'utterance', the recipe"):
            run(recipe_with(epochs=1, **named), later)


def test_a_run_from_before_the_front_owned_its_linear_layer_is_loaded(folders):
    run(recipe_with(epochs=1), folders)
    weights = folders.run / "network.safetensors"
    now = load_file(weights)
    save_file({name.replace("front.enter", "enter"): one for name, one in now.items()}, weights)
    network, _ = RunFolder(folders.run).load()
    assert all(torch.equal(one, now[name]) for name, one in network.state_dict().items())
