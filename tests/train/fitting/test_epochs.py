"""Training on generated features: deterministic, resumable, with teachers, in processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.baselines import SYSTEMS, build, c_bilstm
from model.config import live
from streamer.errors import SerLiveError
from tests.helpers.generated import (
    EMOTIONS,
    TINY,
    features,
    recipe_with,
    training_set,
    validation_sets,
)
from tests.helpers.networks import enlivened
from tests.helpers.places import ROOT
from tests.helpers.training import stopped_at_save
from train.fitting.batches import Batch, TrainingSet
from train.fitting.epochs import fit, refit
from train.fitting.scoring import vote_weights, votes_of
from train.fitting.teachers import Teachers
from train.fitting.training import MovingAverage, Training, loss_of
from train.place import Place, find_place


def weights(fitted):
    return fitted.network.state_dict()


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, msg=name)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    first = fit(recipe_with(), training_set(), validation_sets(), tmp_path / "1")
    again = fit(recipe_with(), training_set(), validation_sets(), tmp_path / "2")
    other = fit(recipe_with(seed=2), training_set(), validation_sets(), tmp_path / "3")
    assert_same(weights(first), weights(again))
    assert not torch.equal(
        weights(first)["front.enter.weight"], weights(other)["front.enter.weight"]
    )


def test_a_training_that_is_refused_leaves_the_threads_as_they_were(tmp_path, monkeypatch):
    closed = []
    batches = training_set().batches(recipe_with(), Place())
    monkeypatch.setattr(batches, "close", lambda: closed.append(True))
    monkeypatch.setattr(TrainingSet, "batches", lambda *_: batches)
    fit(recipe_with(), training_set(), validation_sets(), tmp_path)
    with pytest.raises(SerLiveError, match="another recipe"):
        fit(recipe_with(seed=2), training_set(), validation_sets(), tmp_path)
    assert len(closed) == 2  # also returns the thread that drawing ahead took


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
def test_a_stopped_training_resumes_as_if_never_stopped(tmp_path, optimiser, schedule):
    recipe = recipe_with(optimiser=optimiser, schedule=schedule)
    whole = fit(recipe, training_set(), validation_sets(), tmp_path / "whole")
    for _ in range(2):
        with stopped_at_save():
            fit(recipe, training_set(), validation_sets(), tmp_path / "stopped")
    resumed = fit(recipe, training_set(), validation_sets(), tmp_path / "stopped")
    assert_same(weights(resumed), weights(whole))
    assert (resumed.epoch, resumed.validation_uar) == (whole.epoch, whole.validation_uar)


def test_a_folder_of_another_recipe_is_not_trained_on(tmp_path):
    fit(recipe_with(epochs=1), training_set(), validation_sets(), tmp_path)
    with pytest.raises(SerLiveError, match="another recipe"):
        fit(recipe_with(epochs=2), training_set(), validation_sets(), tmp_path)


@pytest.mark.parametrize("left", [0, 100, 0.5])
def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path, left):
    fit(recipe_with(epochs=1), training_set(), validation_sets(), tmp_path)
    file = tmp_path / "checkpoint.pt"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(left * len(whole)) if left < 1 else left])
    with pytest.raises(SerLiveError, match=r"checkpoint\.pt is damaged, or of another"):
        fit(recipe_with(epochs=1), training_set(), validation_sets(), tmp_path)


def test_a_checkpoint_of_another_shape_is_refused_in_one_line(tmp_path):
    fit(recipe_with(epochs=1), training_set(), validation_sets(), tmp_path)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del saved["network"]["front.enter.weight"]
    torch.save(saved, tmp_path / "checkpoint.pt")
    with pytest.raises(SerLiveError, match=r"checkpoint\.pt is damaged"):
        fit(recipe_with(epochs=1), training_set(), validation_sets(), tmp_path)


def test_a_checkpoint_from_before_a_new_setting_is_resumed(tmp_path):
    whole = fit(recipe_with(epochs=1), training_set(), validation_sets(), tmp_path)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    older = json.loads(saved["recipe"])
    del older["answers"]
    torch.save(saved | {"recipe": json.dumps(older)}, tmp_path / "checkpoint.pt")
    again = fit(recipe_with(epochs=1), training_set(), validation_sets(), tmp_path)
    assert_same(weights(again), weights(whole))


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_training_learns_what_can_be_learnt(tmp_path, optimiser):
    fitted = fit(
        recipe_with(optimiser=optimiser, epochs=8),
        training_set(),
        validation_sets(),
        tmp_path,
    )
    assert fitted.validation_uar > 90
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log] == [*range(1, 9)]
    assert log[-1]["loss"] < log[0]["loss"]
    assert log[-1]["validation_loss"] < log[0]["validation_loss"]
    assert log[fitted.epoch - 1]["mean"] == max(record["mean"] for record in log)
    assert fitted.probabilities.shape == (12, 4)


def test_every_set_lists_the_corpora_in_the_order_of_the_recipe(tmp_path):
    """Streams are sorted by corpus, and hold no recordings of unknown speakers."""
    (alone,) = validation_sets(12)
    wrong = np.where(np.arange(12) < 8, alone.labels, (alone.labels + 1) % 4)
    sets = [
        replace(alone, name=name, corpora=[*corpora], labels=wrong)
        for name, corpora in {"alone": "rrrrccccuuuu", "in streams": "ccccccccrrrr"}.items()
    ]
    fit(recipe_with(epochs=8, corpora=("r", "c", "u")), training_set(), sets, tmp_path)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["validation_uar"] == [[100.0, 100.0, 0.0], [0.0, 100.0, None]]
    assert last["mean"] == 60.0


def test_training_stops_when_the_validation_speakers_gain_nothing(tmp_path, monkeypatch):
    uars = iter([30.0, 50.0, 40.0, 50.0, 60.0])

    def judge(*_, **__):
        return {"validation_uar": [[0.0]], "validation_loss": 1.0, "mean": next(uars)}

    monkeypatch.setattr("train.fitting.epochs._judge", judge)
    recipe = recipe_with(epochs=5, patience=2)
    fitted = fit(recipe, training_set(8), validation_sets(), tmp_path)
    assert fitted.epoch == 2
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


def test_a_refit_on_the_same_speakers_gives_the_weights_of_the_chosen_epoch(tmp_path, monkeypatch):
    uars = iter([30.0, 50.0, 40.0])

    def judge(*_, **__):
        return {"validation_uar": [[0.0]], "validation_loss": 1.0, "mean": next(uars)}

    monkeypatch.setattr("train.fitting.epochs._judge", judge)
    recipe = recipe_with(patience=1)
    fitted = fit(recipe, training_set(), validation_sets(), tmp_path / "fit")
    assert fitted.epoch == 2
    again = refit(recipe, training_set(), fitted.epoch, tmp_path / "refit")
    for name, tensor in fitted.network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)
    log = [json.loads(line) for line in (tmp_path / "refit" / "log.jsonl").read_text().splitlines()]
    assert [set(record) for record in log] == [{"epoch", "loss", "trained_s", "examples_per_s"}] * 2


def test_an_epoch_is_quiet_without_a_terminal(tmp_path, capfd):
    fit(recipe_with(epochs=1), training_set(8), validation_sets(), tmp_path)
    printed = capfd.readouterr()
    assert json.loads(printed.out)["epoch"] == 1
    assert printed.err == ""


def test_extra_classes_are_learnt_and_then_removed(tmp_path):
    recipe = recipe_with(extra_labels=("disgust", "fear"), epochs=8)
    fitted = fit(recipe, training_set(classes=6), validation_sets(), tmp_path)
    assert fitted.validation_uar > 80
    assert fitted.network.config.labels == EMOTIONS
    assert fitted.network.classifier.out_features == 4
    logits, _ = fitted.network(torch.zeros(1, 5, 4, 201))
    assert logits.shape == (1, 5, 4)


class Oracle(torch.nn.Module):
    """A network that always gives the same answer."""

    def __init__(self, logits, timesteps=None):
        super().__init__()
        self.logits, self.timesteps = torch.tensor(logits), timesteps

    def forward(self, features):
        shape = (len(features), self.timesteps or features.shape[1], 1)
        return self.logits.repeat(shape), None


@pytest.mark.parametrize("timesteps", [None, 1])
def test_teachers_take_over_their_share_of_every_timestep(timesteps):
    certain = [100.0, 0.0, 0.0, 0.0]
    uncertain = [0.0, 0.0, 0.0, 0.0]
    teachers = Teachers([Oracle(certain, timesteps), Oracle(uncertain)], [1.0, 2.0], 0.4)
    targets = torch.zeros(1, 2, 4)
    targets[0, 0, 3], targets[0, 1, 3] = 0.2, 0.8
    softened = teachers.soften(targets, torch.zeros(1, 2, 4, 201))
    torch.testing.assert_close(softened.sum(-1), targets.sum(-1))
    expected = 0.4 * torch.tensor([0.625, 0.125, 0.125, 0.125]) + 0.6 * torch.eye(4)[3]
    torch.testing.assert_close(softened[0, 1], 0.8 * expected)


def test_a_student_learns_from_its_teachers_alone(tmp_path):
    """Its own labels are uniform, so it can learn only from the teacher."""
    teacher = fit(recipe_with(epochs=8), training_set(), validation_sets(), tmp_path / "teacher")
    data = training_set()
    data = replace(data, targets=np.full_like(data.targets, 0.25))
    teachers = Teachers([teacher.network], [teacher.temperature], 1.0)
    student = fit(
        recipe_with(epochs=8), data, validation_sets(), tmp_path / "student", teachers=teachers
    )
    assert student.validation_uar > 90


def test_label_smoothing_does_not_apply_to_a_teachers_answer():
    teachers = Teachers([Oracle([50.0, 0.0, 0.0, 0.0])], [1.0], 1.0)
    batch = Batch(torch.zeros(1, 1, 4, 201), torch.eye(4)[None, None, 2], 1)
    certain = Oracle([60.0, 0.0, 0.0, 0.0])
    assert loss_of(certain, batch, 0.5, teachers) < 1e-6
    assert loss_of(certain, batch, 0.5) > 10


def test_the_loss_is_the_cross_entropy_of_smoothed_targets():
    logits = [0.3, -0.2, 1.0, 0.0]
    targets = torch.zeros(2, 3, 4)
    targets[0, :, 1], targets[1, :, 2] = torch.tensor([0.2, 0.3, 0.5]), 1 / 3
    batch = Batch(torch.zeros(2, 3, 4, 201), targets, 2)
    expected = torch.nn.functional.cross_entropy(
        torch.tensor([logits] * 2), torch.tensor([1, 2]), label_smoothing=0.1
    )
    for timesteps in (None, 1):
        torch.testing.assert_close(loss_of(Oracle(logits, timesteps), batch, 0.1), expected)


def test_systems_that_answer_once_per_utterance_are_trained_too(tmp_path):
    system = replace(c_bilstm(), channels=(2, 4), hidden=8, layers=1)
    recipe = recipe_with(network=system, epochs=1)
    fitted = fit(recipe, training_set(8), validation_sets(), tmp_path)
    assert fitted.probabilities.shape == (12, 4)


def test_the_average_follows_the_weights_at_first_and_then_slowly():
    network = build(TINY)
    average = MovingAverage(network, 0.9)
    before = average.network.classifier.bias.clone()
    with torch.no_grad():
        network.classifier.bias += 1.0
    average.update(network)
    torch.testing.assert_close(average.network.classifier.bias, before + 1 - 1 / 11)
    for _ in range(200):
        average.update(network)
    previous = average.network.classifier.bias.clone()
    with torch.no_grad():
        network.classifier.bias += 1.0
    average.update(network)
    torch.testing.assert_close(average.network.classifier.bias, previous + 0.1, rtol=0, atol=1e-4)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_runs_where_its_weights_are(system):
    """On torch's meta device: as on a GPU, no tensor may stay on the CPU."""
    network = build(SYSTEMS[system](EMOTIONS)).to("meta")
    logits, _ = network(torch.empty(2, 9, 4, 201, device="meta"))
    logits.sum().backward()
    assert {weight.grad.device.type for weight in network.parameters()} == {"meta"}


def test_a_missing_device_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(SerLiveError, match="CUDA"), find_place("cuda"):
        pass
    with find_place("auto") as place:
        assert place == Place()


def test_two_processes_train_one_network_and_one_of_them_writes(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.rank", str(tmp_path)],
            env=environment | {"RANK": str(rank), "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert first["ranks"] == second["ranks"] == 2
    learnt = [name for name in first["weights"] if "running" not in name]
    assert_same(
        {name: first["weights"][name] for name in learnt},
        {name: second["weights"][name] for name in learnt},
    )
    assert_same(first["refit"], first["weights"])
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log] == [1, 2, 3]
    assert log[-1]["loss"] < log[0]["loss"]


def test_recordings_of_different_lengths_are_judged_as_each_alone():
    network = build(TINY).eval()
    together = features(np.arange(9) % 4, lengths=(12, 15))
    together.speech[::5] = 0
    votes = votes_of(network, together)
    for index in range(len(together)):
        values = torch.from_numpy(together.values[together.rows(index)]).float()[None]
        with torch.no_grad():
            alone = network(values)[0][0]
        torch.testing.assert_close(votes[index].logits, alone)
        speech = together.speech[together.rows(index)]
        weights = vote_weights(speech, 0, len(speech), TINY.window_timesteps)
        np.testing.assert_array_equal(votes[index].weights, weights)
        assert np.count_nonzero(weights) == np.count_nonzero(speech)


def test_a_voice_memory_is_judged_with_the_levels_of_the_speech():
    config = replace(live(), channels=(2, 3), hidden=8, memory=4, voice=True, level=True)
    network = enlivened(config)
    together = features(np.arange(4) % 4, lengths=(40, 60))
    generator = np.random.default_rng(2)
    together.levels[:] = generator.normal(-30.0, 8.0, len(together.levels))
    together.speech[:5] = 0
    votes = votes_of(network, together)
    for index in range(len(together)):
        rows = together.rows(index)
        values = torch.from_numpy(together.values[rows]).float()[None]
        heard = np.stack([together.speech[rows], together.levels[rows]], axis=-1)
        with torch.no_grad():
            alone = network(values, torch.from_numpy(heard)[None])[0][0]
            level = network(values, torch.from_numpy(heard * [1, 0]).float()[None])[0][0]
        torch.testing.assert_close(votes[index].logits, alone)
        assert (level - alone).abs().max() > 1e-2


def test_a_training_starts_from_a_finished_one(tmp_path):
    before = fit(recipe_with(), training_set(), validation_sets(), tmp_path / "1").network
    labels = ("sad", "calm", "angry", "happy")
    recipe = recipe_with(network=replace(TINY, labels=labels))
    started = Training(recipe, 1, Place(), before).network.state_dict()
    fresh = Training(recipe, 1, Place()).network.state_dict()
    for name, weight in before.state_dict().items():
        if not name.startswith("classifier."):
            torch.testing.assert_close(started[name], weight, rtol=0, atol=0)
            continue
        for index, label in enumerate(labels):
            source = weight[EMOTIONS.index(label)] if label in EMOTIONS else fresh[name][index]
            torch.testing.assert_close(started[name][index], source, rtol=0, atol=0)


def test_a_training_does_not_start_from_a_network_of_another_shape():
    for other in ({"hidden": TINY.hidden + 8}, {"frames_ahead": (0, 0)}, {"memory": 12}):
        with pytest.raises(SerLiveError, match=f"differs .* in {next(iter(other))}$"):
            Training(recipe_with(), 1, Place(), build(replace(TINY, **other)))
    for other in ({"dropout": 0.1}, {"window_timesteps": 9}):
        Training(recipe_with(), 1, Place(), build(replace(TINY, **other)))
