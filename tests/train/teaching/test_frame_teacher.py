"""Teachers that answer at every timestep: heads on Whisper's frames, and what networks learn."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from model.emotion_encoder import FrameClassifier
from streamer.errors import SerLiveError
from streamer.signal import SPEECH_THRESHOLD
from tests.helpers.generated import EMOTIONS, STREAMED
from train.corpora.known import read_corpus
from train.features.augment import Augmentation
from train.fitting.answers import TIMESTEP_ANSWERS, read_timestep_answers, recording_name
from train.fitting.run_folder import Folders
from train.fitting.targets import timestep_targets
from train.place import Place
from train.stages.material import read_parts, training_data
from train.stages.run import run
from train.teaching import frame_teacher
from train.teaching.encoder_frames import TeacherFrames
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
    with np.load(folders.run / TIMESTEP_ANSWERS) as kept:
        ends = np.cumsum(kept["timesteps"])
        parts = np.split(kept["answers"].astype(float), ends[:-1])
        by_name = dict(zip(kept["names"].tolist(), parts, strict=True))
    return [
        (one, by_name.get(recording_name(one, folders.corpora), np.zeros((0, 4)))) for one in found
    ]


def test_every_timestep_is_answered_by_heads_that_have_not_heard_the_speaker(folders, monkeypatch):
    heard = {}

    def remembered(data, rows, generator):
        """Keep whom a head may hear, as its training asks for it."""
        heard[len(heard)] = {data.speakers[row] for row in rows}
        return real(data, rows, generator)

    def constant(_network, _stored, bank):
        fold = len(heard) - 1
        return [[1.0 if one == fold else 0.0 for one in range(4)]] * int(bank.timesteps.sum())

    real = frame_teacher.balanced_rows
    monkeypatch.setattr(frame_teacher, "balanced_rows", remembered)
    monkeypatch.setattr(frame_teacher, "_answer", constant)
    result = run_teaching(RECIPE, folders, Place())
    (known,) = result["lineage"]["corpora"]
    assert not (heard[0] | heard[1]) & {*known["test"], *known["validation"]}
    assert heard[0] and heard[1] and not heard[0] & heard[1]
    for utterance, answers in told(folders):
        if utterance.speaker in known["test"]:
            assert not len(answers)
        elif utterance.speaker in known["validation"]:  # of both together
            np.testing.assert_allclose(answers, [[0.5, 0.5, 0, 0]] * len(answers))
        else:
            (fold,) = set(answers.argmax(axis=1).tolist())
            assert utterance.speaker not in heard[fold]


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
    answers = {recording_name(one, folders.corpora): answers for one, answers in told(folders)}
    expected = [
        0.75 * np.eye(4)[EMOTIONS.index(one.label)]
        + 0.25 * answers[recording_name(one, folders.corpora)]
        for one in parts.train
    ]
    np.testing.assert_allclose(data.timestep_targets, np.concatenate(expected), atol=1e-3)
    result = run(recipe, replace(folders, run=tmp_path / "run"), Place())
    beside = [one["name"] for one in result["lineage"]["beside"]]
    assert "Whisper's encoder, teacher.safetensors" in beside


def test_what_lies_beyond_the_end_of_a_recording_changes_nothing():
    torch.manual_seed(0)
    network = FrameClassifier(6, 4, 0.0).eval()
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
    said, is_said = read_timestep_answers(
        folders.run, [spoken], (spoken.label, "calm"), folders.corpora, sizes
    )
    np.testing.assert_allclose(said[is_said], [[1.0, 0.0]] * sizes[0])
    for utterance, labels, size, message in (
        (spoken, EMOTIONS, sizes + 1, r"cremad/.* timesteps here, and had \d+ when the teachers"),
        (replace(spoken, path=spoken.path.with_name("x.flac")), EMOTIONS, sizes, "about none of"),
        (spoken, ("calm",), sizes, "know angry, happy, neutral, sad"),
    ):
        with pytest.raises(SerLiveError, match=message):
            read_timestep_answers(folders.run, [utterance], labels, folders.corpora, size)


@pytest.fixture
def answered(folders):
    """A finished run of teachers, and one utterance with the number of its timesteps."""
    run_teaching(RECIPE, folders, Place())
    spoken, answers = next(one for one in told(folders) if len(one[1]))
    return folders, spoken, np.array([len(answers)])


def changed(change):
    """Return a damage to the file: its arrays as a function leaves them."""

    def damage(whole):
        with np.load(io.BytesIO(whole)) as kept:
            parts = {key: kept[key] for key in kept.files}
        change(parts)
        file = io.BytesIO()
        np.savez(file, **parts)
        return file.getvalue()

    return damage


def shorter(name):
    return changed(lambda parts: parts.update({name: parts[name][:-1]}))


def as_bare_array(_whole):
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        lambda _whole: b"",
        lambda _whole: b"PK\x03\x04 no archive",
        lambda whole: whole[: len(whole) // 2],
        as_bare_array,
        changed(lambda parts: parts.pop("labels")),
        shorter("labels"),
        shorter("names"),
        shorter("timesteps"),
        shorter("answers"),
    ],
)
def test_damaged_answers_are_named(answered, damage):
    folders, spoken, sizes = answered
    file = folders.run / TIMESTEP_ANSWERS
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(SerLiveError, match=r"timestep-answers\.npz is damaged"):
        read_timestep_answers(folders.run, [spoken], EMOTIONS, folders.corpora, sizes)


def test_a_broken_byte_in_the_answers_is_no_traceback(answered):
    folders, spoken, sizes = answered
    file = folders.run / TIMESTEP_ANSWERS
    whole = file.read_bytes()
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(SerLiveError):
            read_timestep_answers(folders.run, [spoken], EMOTIONS, folders.corpora, sizes)


def test_answers_at_every_timestep_need_streams_and_leave_no_room_for_votes(answered):
    folders, *_ = answered
    recipe = replace(STREAMED, answers=str(folders.run))
    train = read_parts(recipe, folders.corpora).train
    with pytest.raises(SerLiveError, match="the recipe needs streams"):
        training_data(replace(recipe, streams=None), train, folders)
    with pytest.raises(SerLiveError, match="leave soft_labels out"):
        timestep_targets(train, replace(recipe, soft_labels=0.5), folders.corpora, np.array([]))


def test_frames_count_from_the_first_speech_on(data):
    bank = data.bank
    values = np.arange(len(bank.speech), dtype=np.float16)[:, None]
    stored = frame_teacher._Frames(bank, TeacherFrames(values), torch.device("cpu"))
    rows = [3, 0]
    batch, lengths, counts = stored.padded(rows, 30)
    assert lengths.tolist() == [min(int(bank.timesteps[row]), 30) for row in rows]
    for index, row in enumerate(rows):
        start, length = int(bank.speech_starts[row]), int(lengths[index])
        np.testing.assert_array_equal(batch[index, :length, 0], values[start : start + length, 0])
        is_speech = bank.speech[start : start + length] >= SPEECH_THRESHOLD
        assert is_speech.any() and not is_speech[0]
        np.testing.assert_array_equal(counts[index, :length], np.maximum.accumulate(is_speech))


def test_the_mean_answer_is_that_in_speech(data):
    is_speech = data.bank.speech >= SPEECH_THRESHOLD
    answers = np.where(is_speech[:, None], [0.2, 0.8], [1.0, 0.0]).astype(np.float32)
    found = frame_teacher.mean_answers(answers, data.bank)
    np.testing.assert_allclose(found, [[0.2, 0.8]] * len(data.bank), atol=1e-6)


def test_beyond_what_the_encoder_hears_there_is_no_answer(folders, monkeypatch):
    monkeypatch.setattr(frame_teacher, "LONGEST", 10)
    run_teaching(RECIPE, folders, Place())
    recipe = replace(STREAMED, answers=str(folders.run), answers_weight=0.5)
    parts = read_parts(recipe, folders.corpora)
    data = training_data(recipe, parts.train, folders)
    first = data.timestep_targets[: data.bank.timesteps[0]]
    np.testing.assert_allclose(first.sum(axis=1), 1.0, atol=5e-3)
    assert (first[:10].max(axis=1) < 0.9).all()
    np.testing.assert_array_equal(first[10:].max(axis=1), 1.0)  # the label alone


def test_a_recording_too_short_for_a_timestep_is_left_out(folders):
    short = next((folders.corpora / "cremad" / "AudioWAV").glob("1001*"))
    soundfile.write(short, np.zeros(500), 16_000)
    assert run_teaching(replace(RECIPE, steps=8), folders, Place())["uar"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trains": "tail"}, "trains must be"),
        ({"noises": ("esc10",)}, "leave noises, augmentation out"),
        ({"augmentation": Augmentation(speed=(1.0, 1.0))}, "leave noises, augmentation out"),
    ],
)
def test_settings_that_do_not_fit_a_head_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **changes)
