"""Teachers of emotions: Whisper's encoder, trained on labels, answers for unheard speakers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.emotion_encoder import EmotionEncoder
from model.whisper import WhisperEncoder
from streamer.errors import SerLiveError
from tests.helpers.generated import EMOTIONS, STREAMED
from tests.helpers.places import RECIPES
from tests.helpers.training import changed, run_train, stopped_at_save
from tests.helpers.whisper import WIDTH, keep
from train.corpora.known import Utterance, read_corpus
from train.fitting.answers import ANSWERS, keep_answers, read_answers, recording_name
from train.fitting.run_folder import Folders
from train.place import Place
from train.stages.run import run
from train.teaching import whole_encoder
from train.teaching.teacher_recipe import TeacherRecipe, read_teacher_recipe
from train.teaching.teaching import deal, run_teaching

pytestmark = pytest.mark.usefixtures("few_surroundings")

RECIPE = TeacherRecipe(
    "teacher", ("cremad",), EMOTIONS, "encoder.safetensors", folds=2, seconds=2.0, steps=2, batch=4
)


@pytest.fixture
def folders(tiny_corpus, tmp_path):
    torch.manual_seed(4)
    keep(WhisperEncoder(WIDTH, 2, 200), tiny_corpus / "encoder.safetensors")
    return Folders(tiny_corpus, tmp_path / "cache", tmp_path / "teacher")


def test_speakers_are_dealt_to_folds_and_the_others_to_none(tmp_path):
    spoken = [
        Utterance(tmp_path / f"{speaker}-{take}.wav", "sad", speaker, "cremad")
        for speaker in ("1003", "1001", "1002", "1004")
        for take in range(2)
    ]
    dealt = deal(spoken, {id(one) for one in spoken if one.speaker != "1004"}, 2)
    np.testing.assert_array_equal(dealt, [0, 0, 0, 0, 1, 1, -1, -1])


def test_a_speakers_answers_come_from_teachers_that_have_not_heard_him(folders, monkeypatch):
    heard = {}

    def remembered(data, rows, generator):
        """Keep whom a teacher may hear, as its training asks for it."""
        heard[len(heard)] = {data.speakers[row] for row in rows}
        return real(data, rows, generator)

    def constant(_network, _bank, count, _device):
        fold = len(heard) - 1
        return [[1.0 if one == fold else 0.0 for one in range(4)]] * count

    real = whole_encoder.balanced_rows
    monkeypatch.setattr(whole_encoder, "balanced_rows", remembered)
    monkeypatch.setattr(whole_encoder, "_answer", constant)
    result = run_teaching(RECIPE, folders, Place())
    found = read_corpus("cremad", folders.corpora, EMOTIONS)
    said, is_said = read_answers(folders.run, found, EMOTIONS, folders.corpora)
    (known,) = result["lineage"]["corpora"]
    for utterance, answer, there in zip(found, said, is_said, strict=True):
        if utterance.speaker in known["test"]:
            assert not there
        elif utterance.speaker in known["validation"]:  # of both together
            np.testing.assert_allclose(answer, [0.5, 0.5, 0, 0])
        else:
            assert utterance.speaker not in heard[int(answer.argmax())]
    assert heard[0] and heard[1] and not heard[0] & heard[1]


def test_teachers_are_trained_answer_and_teach_a_network(folders, tmp_path, capsys):
    run_teaching(RECIPE, folders, Place(), fold=1)
    assert not (folders.run / ANSWERS).exists()
    before = (folders.run / "fold-1.json").read_bytes()
    result = run_teaching(RECIPE, folders, Place())
    assert (folders.run / "fold-1.json").read_bytes() == before  # it is not trained again
    assert set(result["uar"]) == {"training", "validation"}
    kept = json.loads((folders.run / ANSWERS).read_text())
    sums = np.array(list(kept["answers"].values())).sum(axis=1)
    np.testing.assert_allclose(sums, 1.0, atol=1e-3)
    recipe = replace(STREAMED, answers=str(folders.run), epochs=1)
    fitted = run(recipe, replace(folders, run=tmp_path / "run"), Place())
    beside = [one["name"] for one in fitted["lineage"]["beside"]]
    assert "Whisper's encoder, encoder.safetensors" in beside
    capsys.readouterr()
    with pytest.raises(SerLiveError, match="teachers of another recipe"):
        run_teaching(replace(RECIPE, steps=3), folders, Place())


def test_a_run_from_before_a_setting_is_taken_up(folders):
    run_teaching(RECIPE, folders, Place(), fold=0)
    file = folders.run / "fold-0.json"
    older = json.loads(file.read_text())
    del older["recipe"]["trains"]
    file.write_text(json.dumps(older))
    assert run_teaching(RECIPE, folders, Place())
    with pytest.raises(SerLiveError, match="teachers of another recipe"):
        run_teaching(replace(RECIPE, trains="head"), folders, Place())


def test_teachers_and_their_pupils_do_not_go_on_with_others(folders, tmp_path):
    run_teaching(RECIPE, folders, Place())
    recipe = replace(STREAMED, answers=str(folders.run), epochs=1)
    pupil = replace(folders, run=tmp_path / "pupil")
    with stopped_at_save():
        run(recipe, pupil)
    with (
        changed(folders.run / ANSWERS),
        pytest.raises(SerLiveError, match=r"1 changed \(.*answers\.json\)"),
    ):
        run(recipe, pupil)
    assert run(recipe, pupil)
    keep(WhisperEncoder(WIDTH, 2, 200), folders.corpora / "encoder.safetensors")
    with pytest.raises(SerLiveError, match=r"1 changed \(encoder\.safetensors\)"):
        run_teaching(RECIPE, folders, Place())
    (folders.corpora / "encoder.safetensors").unlink()
    with pytest.raises(SerLiveError, match="openai/whisper-base"):
        run_teaching(RECIPE, folders, Place())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda kept: kept["answers"].popitem(), "asked about none"),
        (lambda kept: kept["labels"].pop(), "is damaged"),
        (lambda kept: kept.update(answers=[1]), "is damaged"),
        (lambda kept: kept.pop("labels"), "is damaged"),
        (lambda kept: kept.update(labels=["a", "b", "c", "d"]), "and none of angry"),
    ],
)
def test_answers_that_cannot_be_used_are_named(tmp_path, damage, message):
    spoken = [Utterance(tmp_path / "1.wav", "sad", "1001", str(tmp_path))]
    names = [recording_name(one, tmp_path) for one in spoken]
    keep_answers(tmp_path, EMOTIONS, names, np.full((1, 4), 0.25, np.float32))
    kept = json.loads((tmp_path / ANSWERS).read_text())
    assert read_answers(tmp_path, spoken, EMOTIONS, tmp_path)[1].all()
    damage(kept)
    (tmp_path / ANSWERS).write_text(json.dumps(kept))
    with pytest.raises(SerLiveError, match=message):
        read_answers(tmp_path, spoken, EMOTIONS, tmp_path)


def test_pooling_ends_with_the_recording():
    torch.manual_seed(0)
    network = EmotionEncoder(WhisperEncoder(WIDTH, 2, 200), 4, 0.0).eval()
    samples = torch.randn(2, 16_000)
    lengths = torch.tensor([16_000, 8_000])
    logits = network(samples, lengths)
    assert logits.shape == (2, 4)

    def louder_beyond(_module, _inputs, scores):  # of the 50 frames of a second
        return torch.cat([scores[:, :25], scores[:, 25:] + 5.0], dim=1)

    network.outer.register_forward_hook(louder_beyond)
    changed = network(samples, lengths)
    torch.testing.assert_close(changed[1], logits[1])
    assert (changed[0] - logits[0]).abs().max() > 1e-3


def test_a_folder_with_other_contents_is_refused(folders):
    folders.run.mkdir()
    (folders.run / "network.safetensors").write_bytes(b"of a fit")
    with pytest.raises(SerLiveError, match="holds the run of a network"):
        run_teaching(RECIPE, folders, Place())
    assert [path.name for path in folders.run.iterdir()] == ["network.safetensors"]


def test_more_folds_than_speakers_are_refused(folders):
    with pytest.raises(SerLiveError, match="has 5 folds, and there are only 4 speakers to train"):
        run_teaching(replace(RECIPE, folds=5), folders, Place())
    assert not folders.cache.exists()


@pytest.mark.parametrize("seconds", [2.03, 4.5])
def test_an_example_may_have_any_length(folders, seconds):
    run_teaching(replace(RECIPE, seconds=seconds, steps=1), folders, Place(), fold=0)
    answers = json.loads((folders.run / "fold-0.json").read_text())
    assert np.isfinite(np.array(answers["answers"])).all()


def test_a_recipe_of_teachers_is_read_and_its_faults_are_named(tmp_path, monkeypatch, capsys):
    for name in ("teacher", "research-teacher"):
        assert read_teacher_recipe(RECIPES / f"{name}.toml").folds == 4
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('corpora = ["cremad"]\nlabels = ["angry", "sad"]\nencoder = "x"\nfold = 3\n')
    with pytest.raises(SerLiveError, match="unknown teacher settings: fold"):
        read_teacher_recipe(wrong)
    wrong.write_text('corpora = ["cremad"]\nlabels = ["angry", "sad"]\nencoder = "x"\nfolds = 1\n')
    with pytest.raises(SerLiveError, match="folds must be a whole number, from 2"):
        read_teacher_recipe(wrong)
    wrong.write_text("augmentation = true\n")
    with pytest.raises(SerLiveError, match="augmentation must be a table, is True"):
        read_teacher_recipe(wrong)
    wrong.write_bytes(b"\xff")
    with pytest.raises(SerLiveError, match="no recipe, it is not UTF-8"):
        read_teacher_recipe(wrong)
    recipe = RECIPES / "teacher.toml"
    assert run_train(monkeypatch, "teach", recipe, "--fold", "4") == 2
    assert "--fold must lie in 0..3" in capsys.readouterr().err
