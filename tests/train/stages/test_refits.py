"""Refits: training again to the chosen epoch, validation speakers included."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

import train.stages.material
import train.stages.run
from model.config import BlockConfig
from tests.helpers.generated import TINY, recipe_with
from tests.helpers.training import have_equal_weights, stopped_at_save
from train.fitting.epochs import fit as train_fit
from train.fitting.run_folder import RunFolder
from train.fitting.training import Training
from train.stages.material import read_parts
from train.stages.run import run


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
    assert have_equal_weights(refits[1][2].networks[0], teacher)
    # The refit does not change the choice, its figures and its temperature.
    assert result | {"recipe": chosen["recipe"]} == chosen
    judged, refitted = (RunFolder(folders.run).load(one)[0] for one in (False, True))
    before = RunFolder(plain.run).load()[0]
    assert have_equal_weights(judged, before)
    assert not have_equal_weights(refitted, judged)
    assert not have_equal_weights(teacher, RunFolder(taught_by).load()[0])
    assert have_equal_weights(RunFolder(plain.run).load(refitted=True)[0], before)


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
    assert have_equal_weights(starts[0], RunFolder(folders.run).load()[0])
    assert have_equal_weights(refits[-1][3], RunFolder(folders.run).load(refitted=True)[0])


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
    stopped = replace(folders, run=tmp_path / "stopped")
    with stopped_at_save(saves):
        run(recipe, stopped)
    assert not (stopped.run / "result.json").exists()
    run(recipe, stopped)
    for refitted in (False, True):
        assert have_equal_weights(
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
    assert have_equal_weights(RunFolder(folders.run).load()[0], before)


def test_a_refit_of_an_earlier_fit_is_not_reused(folders):
    recipe = recipe_with(epochs=2, refit=True)
    run(recipe, folders)
    before = RunFolder(folders.run).load(refitted=True)[0]
    for name in ("checkpoint.pt", "result.json"):
        (folders.run / name).unlink()
    for path in (folders.corpora / "cremad" / "AudioWAV").glob("*_SAD_*"):
        shutil.copy(path.with_name(path.name.replace("SAD", "HAP")), path)
    run(recipe, folders)
    assert not have_equal_weights(RunFolder(folders.run).load(refitted=True)[0], before)
