"""Teachers that answer at every timestep: heads on Whisper's frames, and what networks learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.emotion_encoder import FrameListener
from streamer.errors import SerLiveError
from tests.helpers.generated import EMOTIONS, STREAMED
from train.corpora.known import read_corpus
from train.fitting.answers import MOMENTS, called, read_moments
from train.fitting.run_folder import Folders
from train.place import Place
from train.stages.material import read_parts, training_data
from train.stages.run import run
from train.teaching import teaching
from train.teaching.teacher_recipe import TeacherRecipe
from train.teaching.teaching import run_teaching

pytestmark = pytest.mark.usefixtures("few_surroundings")

RECIPE = TeacherRecipe(
    "teacher",
    ("cremad",),
    EMOTIONS,
    "teacher.safetensors",
    trains="head",
    folds=2,
    steps=3,
    batch=4,
)


@pytest.fixture
def folders(tiny_corpus, teacher, tmp_path):
    assert teacher.parent == tiny_corpus
    return Folders(tiny_corpus, tmp_path / "cache", tmp_path / "teacher")


def told(folders):
    """Return every utterance, and the answers at its timesteps, empty without any."""
    found = read_corpus("cremad", folders.corpora, EMOTIONS)
    with np.load(folders.run / MOMENTS) as kept:
        ends = np.cumsum(kept["timesteps"])
        parts = np.split(kept["moments"].astype(float), ends[:-1])
        by_name = dict(zip(kept["names"].tolist(), parts, strict=True))
    return [(one, by_name.get(called(one, folders.corpora), np.zeros((0, 4)))) for one in found]


def test_every_timestep_is_answered_by_heads_that_have_not_heard_the_speaker(folders, monkeypatch):
    heard = {}

    def listen(_recipe, fold, dealt, data, *_):
        rows = np.flatnonzero((dealt >= 0) & (dealt != fold))
        heard[fold] = {data.speakers[row] for row in rows}
        return [[1.0 if one == fold else 0.0 for one in range(4)]] * int(data.bank.timesteps.sum())

    monkeypatch.setattr(teaching, "listen", listen)
    result = run_teaching(RECIPE, folders, Place())
    (known,) = result["lineage"]["corpora"]
    for utterance, answers in told(folders):
        if utterance.speaker in known["test"]:
            assert not len(answers)
        elif utterance.speaker in known["validation"]:  # of both together
            np.testing.assert_allclose(answers, [[0.5, 0.5, 0, 0]] * len(answers))
        else:
            (fold,) = set(answers.argmax(axis=1).tolist())
            assert utterance.speaker not in heard[fold]
    assert heard[0] and heard[1] and not heard[0] & heard[1]


def test_heads_learn_to_tell_recordings_apart(folders):
    """Speakers say the same four recordings, so others' recordings are known by heart."""
    result = run_teaching(
        replace(RECIPE, steps=300, dropout=0.0, head_learning_rate=1e-2), folders, Place()
    )
    assert result["uar"]["training"]["cremad"] > 90
    for _, answers in told(folders):
        np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=5e-3)


def test_a_network_learns_the_answer_at_every_timestep(folders, tmp_path):
    run_teaching(RECIPE, folders, Place())
    recipe = replace(STREAMED, answers=str(folders.run), answers_weight=0.25, epochs=1)
    parts = read_parts(recipe, folders.corpora)
    data = training_data(recipe, parts.train, folders)
    answers = {called(one, folders.corpora): answers for one, answers in told(folders)}
    expected = [
        0.75 * np.eye(4)[EMOTIONS.index(one.label)] + 0.25 * answers[called(one, folders.corpora)]
        for one in parts.train
    ]
    np.testing.assert_allclose(data.moments, np.concatenate(expected), atol=1e-3)
    result = run(recipe, replace(folders, run=tmp_path / "run"), Place())
    beside = [one["name"] for one in result["lineage"]["beside"]]
    assert "Whisper's encoder, teacher.safetensors" in beside


def test_what_lies_beyond_the_end_of_a_recording_changes_nothing():
    torch.manual_seed(0)
    network = FrameListener(6, 4, 0.0).eval()
    frames, lengths = torch.randn(2, 30, 6), torch.tensor([30, 12])
    logits = network(frames, lengths)
    frames[1, 12:] = 5.0
    changed = network(frames, lengths)
    torch.testing.assert_close(changed[1, :12], logits[1, :12])
    torch.testing.assert_close(network(frames[1:, :12], lengths[1:])[0], logits[1, :12])


def test_answers_to_other_recordings_are_refused(folders):
    run_teaching(RECIPE, folders, Place())
    spoken, answers = next(one for one in told(folders) if len(one[1]))
    sizes = np.array([len(answers)])
    said, is_said = read_moments(
        folders.run, [spoken], (spoken.label, "calm"), folders.corpora, sizes
    )
    np.testing.assert_allclose(said[is_said], [[1.0, 0.0]] * sizes[0])
    for utterance, labels, size, message in (
        (spoken, EMOTIONS, sizes + 1, "heard another cremad/"),
        (replace(spoken, path=spoken.path.with_name("x.flac")), EMOTIONS, sizes, "about none of"),
        (spoken, ("calm",), sizes, "know angry, happy, neutral, sad"),
    ):
        with pytest.raises(SerLiveError, match=message):
            read_moments(folders.run, [utterance], labels, folders.corpora, size)
    (folders.run / MOMENTS).write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(SerLiveError, match=r"moments\.npz is damaged"):
        read_moments(folders.run, [spoken], EMOTIONS, folders.corpora, sizes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trains": "tail"}, "trains must be"),
        ({"noises": ("esc10",)}, "leave noises out"),
    ],
)
def test_settings_that_do_not_fit_a_head_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **changes)
