"""Teachers that answer at every timestep: heads on Whisper's frames, and what networks learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.emotion_encoder import FrameListener
from streamer.errors import SerLiveError
from tests.helpers.generated import EMOTIONS, STREAMED
from tests.helpers.places import CLIPS
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
    utterances = read_corpus("cremad", folders.corpora, EMOTIONS)
    spoken = [one for one, answers in told(folders) if len(answers)]
    names = [called(one, folders.corpora) for one in spoken[:1]]
    sizes = np.array([len(told(folders)[utterances.index(spoken[0])][1])])
    said, is_said = read_moments(folders.run, names, ("sad", "calm"), sizes)
    np.testing.assert_array_equal(said[is_said], [[1.0, 0.0]] * sizes[0])
    with pytest.raises(SerLiveError, match=f"heard another {names[0]}"):
        read_moments(folders.run, names, EMOTIONS, sizes + 1)
    with pytest.raises(SerLiveError, match="asked about none of these recordings"):
        read_moments(folders.run, ["cremad/other"], EMOTIONS, sizes)
    with pytest.raises(SerLiveError, match="know angry, happy, neutral, sad"):
        read_moments(folders.run, names, ("calm",), sizes)
    (folders.run / MOMENTS).write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(SerLiveError, match=r"moments\.npz is damaged"):
        read_moments(folders.run, names, EMOTIONS, sizes)


# Voices without labels, and ordinary speech


@pytest.fixture
def unlabelled(folders):
    """Bursts of four voices, and ordinary speech."""
    for number in range(8):
        ordinary = folders.corpora / "speech" / "intent" / f"{number}.flac"
        burst = (
            folders.corpora / "emogator" / "data" / "mp3" / f"00000{number // 2}-13-{number}.flac"
        )
        for path in (ordinary, burst):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(CLIPS[number % 4].read_bytes())


@pytest.mark.usefixtures("unlabelled")
def test_without_labels_the_answers_are_the_target(folders):
    run_teaching(replace(RECIPE, voices=("emogator",), ordinary=True), folders, Place())
    streams = replace(STREAMED.streams, ordinary=0.3, corpora={"emogator": 0.5})
    recipe = replace(
        STREAMED,
        answers=str(folders.run),
        answers_weight=0.5,
        voices=("emogator",),
        streams=streams,
    )
    parts = read_parts(recipe, folders.corpora)
    data = training_data(recipe, parts.train, folders)
    starts, ends = data.bank.speech_starts, data.bank.speech_ends
    labelled, voices = len(parts.train), data.corpora.count("emogator")
    assert voices == 8 and len(data.targets) == labelled + voices
    for row in range(labelled, labelled + voices):  # the mean answer says how it is drawn
        own = data.moments[starts[row] : ends[row]]
        np.testing.assert_allclose(own[:, :4].sum(axis=1), 1.0, atol=5e-3)
        assert not own[:, 4].any()
        np.testing.assert_allclose(data.targets[row], own.mean(axis=0), atol=1e-6)
    ordinary = data.moments[starts[labelled + voices] :]
    assert len(ordinary)
    np.testing.assert_array_equal(ordinary[:, 4], 1.0)
    np.testing.assert_allclose(ordinary[:, :4].sum(axis=1), 1.0, atol=5e-3)
    run(replace(recipe, epochs=1), replace(folders, run=folders.run.with_name("run")), Place())


@pytest.mark.usefixtures("unlabelled")
def test_voices_that_the_teachers_were_not_asked_about_are_refused(folders):
    run_teaching(RECIPE, folders, Place())
    recipe = replace(STREAMED, answers=str(folders.run), voices=("emogator",))
    parts = read_parts(recipe, folders.corpora)
    with pytest.raises(SerLiveError, match="were not asked about emogator"):
        training_data(recipe, parts.train, folders)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trains": "tail"}, "trains must be"),
        ({"noises": ("esc10",)}, "leave noises out"),
        ({"voices": ("nobody",)}, "voices must be of emogator"),
        ({"ordinary": 3}, "ordinary must be true or false"),
        ({"trains": "all", "ordinary": True}, 'need trains = "head"'),
        ({"trains": "all", "voices": ("emogator",)}, 'need trains = "head"'),
    ],
)
def test_settings_that_do_not_fit_a_head_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **changes)
