"""Runs that start from others or are taught by them, and what they name in their lineage."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from streamer.errors import SerLiveError
from streamer.modelfile.lineage import HeardCorpus, Lineage
from streamer.recognition.recognizer import Recognizer
from tests.helpers.generated import EMOTIONS, STREAMED, TINY, recipe_with
from train.fitting.run_folder import Folders, RunFolder
from train.stages.export import export_run, metadata_of
from train.stages.run import run


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
