"""Recipes, augmentation and a small training, on generated and real audio."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from model.config import BlockConfig, NetworkConfig
from streamer.audio import read_recording
from streamer.errors import SerLiveError
from streamer.frontend import FREQUENCY_BINS, Normaliser, SpectralAnalysis
from streamer.recognizer import Recognizer
from streamer.speech import SpeechDetector
from tests.conftest import CLIPS
from train.augment import Augmentation, active_rms, augment, take_out_noise
from train.batches import loss_weights, training_order
from train.corpora import read_corpus
from train.data import analyse, normalise_copy, prepare_copy
from train.fit import Training
from train.recipe import Recipe, read_recipe
from train.run import Folders, export_run, load_run, run

EMOTIONS = ("angry", "happy", "neutral", "sad")
RECIPES = Path(__file__).parents[1] / "train" / "recipes"


def test_the_shipped_recipe_is_read():
    recipe = read_recipe(RECIPES / "live.toml")
    assert recipe.network.labels == EMOTIONS
    assert recipe.network.look_ahead_ms <= 200
    assert not set(recipe.corpora) & set(recipe.transfer)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("epochs", "epoch", "epoch"),
        ('base = "live"', 'base = "dead"', "dead"),
        ('base = "live"', 'base = "live"\nhidden = 0', "hidden"),
        ("[network]", "[augmentation]\nloudness = 1\n[network]", "loudness"),
        ("corpora =", "corpora", "line"),
    ],
)
def test_recipes_with_mistakes_are_refused(tmp_path, old, new, word):
    text = (RECIPES / "live.toml").read_text()
    assert old in text
    (tmp_path / "wrong.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(SerLiveError, match=word):
        read_recipe(tmp_path / "wrong.toml")


def test_augmentation_is_deterministic_and_keeps_the_words_in_place(speech):
    clip = speech[:32_000]
    ranges = Augmentation(speed=(1.0, 1.0), room=0.0, floor_db=(-60.0, -60.0), real_noise=0.0)

    def copy(seed):
        return augment(clip, speech[40_000:60_000], ranges, [], [], np.random.default_rng(seed))

    first, start = copy(1)
    again, _ = copy(1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, copy(2)[0])
    assert len(first) == start + len(clip) >= 20_000 + len(clip)
    lag = np.argmax(np.correlate(first[start - 200 : start + 8_200], clip[:8_000], "valid"))
    assert abs(lag - 200) <= 8  # the colouring filter is symmetric


def test_the_noise_floor_is_drawn_relative_to_the_speech(speech):
    for floor_db in (-40.0, -10.0):
        ranges = Augmentation(
            speed=(1.0, 1.0), room=0.0, tilt_db=0.0, real_noise=0.0, denoise=1.0, lead_s=2.0,
            previous=0.0, floor_db=(floor_db, floor_db),
        )  # fmt: skip
        heard, start = augment(speech[:40_000], None, ranges, [], [], np.random.default_rng(3))
        ratio_db = 20 * np.log10(active_rms(heard[:start]) / active_rms(heard[start:]))
        assert ratio_db == pytest.approx(floor_db, abs=3)


def test_noise_is_taken_out_and_speech_is_not(speech):
    noise = np.random.default_rng(0).standard_normal(len(speech)) * active_rms(speech) * 0.05
    noisy = (speech + noise).astype(np.float32)
    clean = take_out_noise(noisy)
    assert len(clean) == len(noisy)
    assert active_rms(clean) == pytest.approx(active_rms(speech), rel=0.1)
    pauses = np.argsort(np.square(speech[: len(speech) // 320 * 320].reshape(-1, 320)).mean(1))[:40]

    def power_in_pauses(samples):
        return np.square(samples[: len(samples) // 320 * 320].reshape(-1, 320)[pauses]).mean()

    assert power_in_pauses(clean) < 0.1 * power_in_pauses(noisy)


def test_the_loss_counts_speech_of_the_utterance_itself():
    speech = np.ones(60, np.float32)
    weights = loss_weights(speech, 20)
    assert weights.sum() == pytest.approx(1.0)
    assert not weights[:27].any()
    assert weights[-1] > weights[30] > 0
    assert loss_weights(np.zeros(9, np.float32), 3).sum() == pytest.approx(1.0)


def test_small_corpora_come_more_often():
    order = training_order(np.zeros(90, np.int64), ["big"] * 80 + ["small"] * 10)
    assert order.count(0) == 1
    assert order.count(85) == 5


TINY = NetworkConfig(
    EMOTIONS,
    channels=(2, 4),
    hidden=16,
    memory=8,
    blocks=(BlockConfig(2, 1),),
    attention_hidden=4,
    window_timesteps=20,
)


@pytest.fixture
def tiny_corpus(tmp_path):
    """The clips under many names: speakers of all three parts in CREMA-D's layout."""
    folder = tmp_path / "corpora" / "cremad" / "AudioWAV"
    folder.mkdir(parents=True)
    for speaker in (1001, 1002, 1003, 1004, 1005, 1006, 1008, 1009):
        for clip in CLIPS:
            _, sentence, emotion, level = clip.stem.split("_")
            name = f"{speaker}_{sentence}_{emotion}_{level}.flac"
            (folder / name).write_bytes(clip.read_bytes())
    noise = tmp_path / "corpora" / "noise" / "House"
    noise.mkdir(parents=True)
    soundfile.write(noise / "hum.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    return tmp_path / "corpora"


def test_a_run_goes_from_corpus_to_model_and_resumes(tiny_corpus, tmp_path):
    recipe = Recipe("tiny", ("cremad",), TINY, copies=1, epochs=2, batch=8, learning_rate=1e-2)
    folders = Folders(tiny_corpus, tmp_path / "cache", tmp_path / "run")
    whole = run(recipe, folders)
    assert whole["utterances"] == {"train": 16, "validation": 8, "test": 8}
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2]

    # Stopped after one epoch and started again: the same weights as in one go.
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
    weights = load_run(folders.run)[0].state_dict()
    for name, tensor in load_run(stopped.run)[0].state_dict().items():
        torch.testing.assert_close(tensor, weights[name])

    with pytest.raises(SerLiveError, match="another recipe"):
        run(replace(recipe, epochs=3), folders)

    tested = export_run(folders.run, tmp_path / "tiny.onnx", tiny_corpus)
    assert np.sum(tested["cremad"]["confusion"]) == 8
    recognizer = Recognizer.load(tmp_path / "tiny.onnx")
    assert recognizer.metadata.labels == EMOTIONS
    assert f"cremad {tested['cremad']['uar']:.1f} % UAR" in recognizer.metadata.training["accuracy"]
    stream = recognizer.stream()
    assert len(stream.accept(read_recording(CLIPS[0])) + stream.flush()) > 40


def test_an_unfinished_run_cannot_be_exported(tmp_path):
    with pytest.raises(SerLiveError, match="no finished run"):
        export_run(tmp_path, tmp_path / "model.onnx", tmp_path)


def test_training_features_are_those_of_the_runtime(tiny_corpus, tmp_path):
    utterances = read_corpus("cremad", tiny_corpus, EMOTIONS)[:2]
    samples = np.concatenate([np.zeros(9_600, np.float32), read_recording(utterances[1].path)])
    soundfile.write(utterances[1].path, samples, 16_000)  # digital silence first
    normaliser = Normaliser(np.full(FREQUENCY_BINS, 1 / FREQUENCY_BINS))
    copy = prepare_copy(utterances, tmp_path / "cache", tiny_corpus / "noise")
    trained_on = normalise_copy(copy, normaliser).values[1].astype(np.float32)
    spectra = analyse(samples, SpectralAnalysis(SpeechDetector()))
    live, _ = normaliser.normalise(spectra, normaliser.initial_state())
    np.testing.assert_allclose(trained_on, live, atol=0.01)  # stored as half floats
    again = prepare_copy(utterances, tmp_path / "cache", tiny_corpus / "noise")
    np.testing.assert_array_equal(again.log_power, copy.log_power)


def test_a_recipe_cannot_test_on_what_it_trains_on():
    with pytest.raises(ValueError, match="cremad"):
        Recipe("twice", ("cremad",), TINY, transfer=("cremad",))
    with pytest.raises(ValueError, match="no split"):
        Recipe("nobody", ("nemo",), TINY)
