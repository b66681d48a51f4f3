"""The gain from knowing a voice, judged on the same recordings for every profile size."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

import train.fitting.epochs
import train.measuring.knowing
from model.baselines import build
from streamer.errors import SerLiveError
from streamer.recognition.recognizer import Recognizer
from tests.helpers.generated import STREAMED
from tests.helpers.places import CLIPS
from train.corpora.known import Utterance
from train.fitting.run_folder import Folders, RunFolder
from train.measuring.hearing import StreamResult
from train.measuring.knowing import ELSEWHERE_DB, SENTENCES, judge_known
from train.stages.export import export_run
from train.stages.run import run

LABELS = {"ANG": "angry", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}


def spoken(speakers=("A", "B")):
    clips = [(clip, LABELS[clip.stem.split("_")[2]]) for clip in CLIPS]
    return [Utterance(clip, label, who, "cremad") for who in speakers for clip, label in clips]


def test_every_recording_is_judged_with_every_profile_size(knowing):
    metadata = Recognizer.load(knowing.path).metadata
    with ThreadPoolExecutor(1) as pool:
        known = judge_known(pool, knowing.path, spoken(), metadata)
    assert tuple(known.by_sentences) == SENTENCES
    assert known.fewest == 0  # with one neutral sentence, none is left for its own profile
    assert tuple(known.elsewhere) == ELSEWHERE_DB
    for result in (*known.by_sentences.values(), *known.elsewhere.values()):
        assert result.scores.confusion.sum() == 2 * len(CLIPS)
    for adapted, fixed in known.by_speech.values():
        assert adapted.scores.confusion.sum() == fixed.scores.confusion.sum() > 0


def test_a_profile_never_contains_the_judged_sentence(knowing, monkeypatch):
    asked = []

    def profile(_model, paths, gain_db=0.0):
        asked.append((paths, gain_db))

    def hear(_recognizer, samples, _profile=None):
        return StreamResult(len(samples), np.zeros((0, 4)), np.zeros(0, np.float32), ())

    monkeypatch.setattr(train.measuring.knowing, "_profile", profile)
    monkeypatch.setattr(train.measuring.knowing, "hear", hear)
    own = [replace(one, label="neutral") for one in spoken("A")]
    heard = train.measuring.knowing._hear_speaker(own, knowing.path)
    each = len(SENTENCES) + len(ELSEWHERE_DB)
    assert [len(one) for one in heard] == [each] * len(own)
    by_recording = [asked[i : i + each] for i in range(0, len(asked), each)]
    for one, profiles in zip(own, by_recording, strict=True):
        # Four clips, but this one.
        assert [len(paths) for paths, _ in profiles] == [0, 1, 3, 3, 3, 3]
        assert [abs(gain_db) for _, gain_db in profiles] == [0, 0, 0, 0, *ELSEWHERE_DB]
        assert not any(one.path in paths for paths, _ in profiles)


def test_a_model_without_a_voice_memory_is_not_judged(model_file):
    metadata = replace(Recognizer.load(model_file).metadata, states=(), hears_level=False)
    with ThreadPoolExecutor(1) as pool:
        assert judge_known(pool, model_file, spoken(), metadata) is None


def voice_recipe(folders, level):
    """Return a recipe that trains the voice memory of a finished run."""
    return replace(
        STREAMED,
        network=replace(STREAMED.network, voice=True, level=level),
        streams=replace(STREAMED.streams, known=0.8, known_s=2.0, elsewhere=0.5),
        trains="voice",
        pretrained=str(folders.run),
        epochs=1,
        refit=True,
    )


@pytest.mark.usefixtures("few_surroundings")
@pytest.mark.parametrize("level", [False, True])
def test_training_the_voice_memory_changes_nothing_else(tiny_corpus, tmp_path, level):
    folders = Folders(tiny_corpus, tmp_path / "cache", tmp_path / "before")
    run(STREAMED, folders)
    recipe = voice_recipe(folders, level)
    run(recipe, replace(folders, run=tmp_path / "after"))
    before, _ = RunFolder(folders.run).load()
    for refitted in (False, True):
        after, result = RunFolder(tmp_path / "after").load(refitted)
        assert result["recipe"]["trains"] == "voice"
        assert "voice_bias" not in result  # each voice has one neutral sentence only
        own = after.state_dict()
        for name, weight in before.state_dict().items():
            torch.testing.assert_close(own[name], weight, rtol=0, atol=0)
        assert own["voice.differ.weight"].abs().sum() > 0
        # The voice answer has been trained: it differs from that of a fresh network with this seed.
        torch.manual_seed(recipe.seed)
        unlearnt = build(replace(recipe.kept_network, labels=recipe.labelled)).state_dict()
        assert not torch.equal(own["voice.differ.weight"], unlearnt["voice.differ.weight"])
        assert own.keys() == unlearnt.keys()
        if level:
            assert (own["voice.level_classifier.weight"] != 0).all()
    tested = export_run(tmp_path / "after", tmp_path / "model.onnx", tiny_corpus)
    assert tested["cremad"]["running"] is not None
    assert Recognizer.load(tmp_path / "model.onnx").metadata.hears_level == level


@pytest.mark.usefixtures("few_surroundings")
def test_the_voice_bias_is_added_once_before_and_after_the_refit(
    tiny_corpus, tmp_path, monkeypatch
):
    folders = Folders(tiny_corpus, tmp_path / "cache", tmp_path / "before")
    run(replace(STREAMED, epochs=1), folders)
    recipe = voice_recipe(folders, True)
    without, biased = (replace(folders, run=tmp_path / name) for name in ("without", "biased"))
    run(recipe, without)
    bias = torch.tensor([2.0, -1.0, 0.5, -1.5])
    sets = []

    def fit_voice_bias(_network, alone):
        sets.append(alone.name)
        return bias

    monkeypatch.setattr(train.fitting.epochs, "fit_voice_bias", fit_voice_bias)
    for refit in (False, True, True):  # it is refit later, and then fitted once more
        run(replace(recipe, refit=refit), biased)
    assert sets == ["alone"] * 3
    for refitted in (False, True):
        before, _ = RunFolder(without.run).load(refitted)
        after, result = RunFolder(biased.run).load(refitted)
        assert result["voice_bias"] == bias.tolist()
        name = "voice.differ.bias"
        expected = before.state_dict() | {name: before.state_dict()[name] + bias}
        for name, weight in after.state_dict().items():
            torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6)


@pytest.mark.usefixtures("few_surroundings")
def test_a_start_for_voice_training_must_differ_only_in_the_voice_memory(tiny_corpus, tmp_path):
    folders = Folders(tiny_corpus, tmp_path / "cache", tmp_path / "before")
    run(replace(STREAMED, epochs=1), folders)
    recipe = replace(
        STREAMED,
        network=replace(STREAMED.network, voice=True, window_timesteps=10),
        trains="voice",
        pretrained=str(folders.run),
    )
    with pytest.raises(SerLiveError, match="as it is, and that differs in window_timesteps"):
        run(recipe, replace(folders, run=tmp_path / "after"))
