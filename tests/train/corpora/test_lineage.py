"""Speakers held back from a training stay held back, whatever is added to the folder later."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from streamer.errors import SerLiveError
from streamer.modelfile.lineage import HeardCorpus, Lineage
from streamer.recognition.metadata import ModelMetadata
from tests.helpers.places import CLIPS
from train.corpora.known import Utterance, read_corpus
from train.corpora.lineage import (
    check_recordings,
    heard_corpora,
    keep_recordings,
    place_of,
    together,
)
from train.corpora.splits import split_of
from train.judging.evaluate import EvaluationPlan, utterances_to_test

SPEAKERS = ("ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal")


def record(folder, *speakers):
    """Write four recordings per speaker in class folders; no two files are equal."""
    for speaker in speakers:
        for clip, label in zip(CLIPS, ("angry", "happy", "neutral", "sad"), strict=True):
            file = folder / label / speaker / clip.name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(clip.read_bytes() + speaker.encode())
    return folder


def trained(metadata, folder, split="fixed"):
    """Return metadata and split of a model trained on the folder as it is now."""
    found = split_of(split, read_corpus(str(folder), folder))
    return replace(metadata, lineage=Lineage(heard_corpora(found, split))), found


def speakers_tested(metadata, folder):
    found = utterances_to_test(str(folder), metadata, EvaluationPlan(folder))
    return {one.speaker for one in found}


@pytest.mark.parametrize("name", ["voices", "voices, from home", "ravdess"])
def test_a_speaker_added_later_does_not_change_the_test_speakers(shipped, tmp_path, name, capsys):
    folder = record(tmp_path / name, *SPEAKERS)
    metadata, split = trained(shipped.metadata, folder)
    kept = {one.speaker for one in split.test}
    assert speakers_tested(metadata, folder) == kept
    assert not capsys.readouterr().err
    record(folder, "aaa")  # dealt anew, every speaker would move by one
    dealt_anew = {one.speaker for one in split_of("fixed", read_corpus(str(folder), folder)).test}
    assert dealt_anew & {one.speaker for one in split.train}
    assert speakers_tested(metadata, folder) == kept
    assert "1 speaker is left out, who came after the training (aaa)" in capsys.readouterr().err


@pytest.mark.parametrize("elsewhere", ["link", "table", "copy", "."])
def test_training_recordings_are_recognised_under_another_name(
    shipped, tmp_path, elsewhere, monkeypatch, capsys
):
    folder = record(tmp_path / "voices", *SPEAKERS)
    metadata, split = trained(shipped.metadata, folder)
    if elsewhere == "link":
        (tmp_path / "link").symlink_to(folder)
    elif elsewhere == "copy":
        shutil.copytree(folder, tmp_path / "copy")
    elif elsewhere == "table":
        files = sorted(folder.rglob("*.flac"))
        rows = [f"{one.relative_to(tmp_path)},{one.parts[-3]},{one.parts[-2]}" for one in files]
        (tmp_path / "table").with_suffix(".csv").write_text(
            "\n".join(["file,label,speaker", *rows])
        )
    monkeypatch.chdir(folder if elsewhere == "." else tmp_path)
    name = f"./{elsewhere}.csv" if elsewhere == "table" else elsewhere
    found = utterances_to_test(name, metadata, EvaluationPlan(tmp_path))
    assert {one.speaker for one in found} == {one.speaker for one in split.test}
    if elsewhere in ("copy", "table"):
        assert "was trained on or chosen by" in capsys.readouterr().err


def test_two_folders_of_one_name_are_refused(tmp_path):
    folders = [record(tmp_path / side / "voices", *SPEAKERS) for side in ("a", "b")]
    found = [one for folder in folders for one in read_corpus(str(folder), folder)]
    with pytest.raises(SerLiveError, match="have one name"):
        heard_corpora(split_of("fixed", found), "fixed")


def test_a_speaker_on_two_sides_is_held_back_by_recording(tmp_path):
    folder = record(tmp_path / "voices", "ann", "bob")
    split = split_of("random/0", read_corpus(str(folder), folder))
    (corpus,) = heard_corpora(split, "random/0")
    assert corpus.held_by == "recordings"
    assert len(corpus.validation) == len(split.validation)


def test_a_copy_of_a_training_recording_is_not_held_back(tmp_path):
    folder = tmp_path / "voices"
    for number in range(12):  # a random split puts copies on all sides
        for clip, label in zip(CLIPS, ("angry", "happy", "neutral", "sad"), strict=True):
            file = folder / label / f"{number}.flac"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(clip.read_bytes())
    split = split_of("fixed", read_corpus(str(folder), folder))
    (corpus,) = heard_corpora(split, "fixed")
    assert split.test
    assert corpus.test == corpus.validation == ()


def test_a_refit_start_has_heard_its_validation_speakers_too():
    def corpus(trained, validation, test):
        return HeardCorpus("cremad", False, "-", "x", "speakers", trained, validation, test)

    start = Lineage((corpus(("c", "d"), ("b",), ("a",)),))
    mine = Lineage((corpus(("c", "d"), ("a",), ("b",)),))
    together(mine, start, (), Path("start"))
    with pytest.raises(SerLiveError, match="has heard cremad"):
        together(mine, start, (), Path("start"), is_refit=True)


def test_no_speaker_is_both_trained_on_and_held_back():
    with pytest.raises(ValueError, match="both trained on and held back"):
        HeardCorpus("cremad", False, "-", "x", "speakers", ("a",), (), ("a",))


def test_an_evaluation_without_held_back_speakers_is_refused(shipped, tmp_path):
    folder = record(tmp_path / "voices", *SPEAKERS)
    metadata, split = trained(shipped.metadata, folder)
    for speaker in {one.speaker for one in split.test}:
        for label in folder.iterdir():
            shutil.rmtree(label / speaker)
    with pytest.raises(SerLiveError, match="nobody is at hand who was held back"):
        speakers_tested(metadata, folder)


def test_a_folder_named_like_a_corpus_is_not_that_corpus(shipped, tmp_path):
    metadata, _ = trained(shipped.metadata, record(tmp_path / "ravdess", *SPEAKERS))
    assert metadata.lineage.facts["licence"] == "the owner's (ravdess)"
    assert metadata.lineage.corpus("ravdess", is_own=True)
    assert metadata.lineage.corpus("ravdess", is_own=False) is None


def test_recordings_of_unknown_speakers_are_held_back_by_content(shipped, tmp_path, capsys):
    folder = record(tmp_path / "voices", *SPEAKERS)
    for file in sorted(folder.rglob("*.flac")):
        file.rename(file.parents[1] / f"{file.parent.name}-{file.name}")
    for empty in [one for label in folder.iterdir() for one in label.iterdir() if one.is_dir()]:
        empty.rmdir()
    metadata, split = trained(shipped.metadata, folder)
    kept = {one.path.read_bytes() for one in split.test}
    for file in sorted(folder.rglob("*.flac")):  # the random draw depends on names
        file.rename(file.with_name(f"renamed-{file.name}"))
    drawn_anew = split_of("fixed", read_corpus(str(folder), folder)).test
    assert {one.path.read_bytes() for one in drawn_anew} != kept
    found = utterances_to_test(str(folder), metadata, EvaluationPlan(folder))
    assert {one.path.read_bytes() for one in found} == kept
    assert "recordings were held back, not speakers" in capsys.readouterr().err


def test_a_run_keeps_the_recordings_that_it_began_with(tmp_path):
    folder = record(tmp_path / "voices", *SPEAKERS)
    run = tmp_path / "run"

    with pytest.raises(SerLiveError, match="does not say which recordings"):
        check_recordings(read_corpus(str(folder), folder), folder, run, goes_on=True)

    def check(goes_on=True):
        return check_recordings(read_corpus(str(folder), folder), folder, run, goes_on)

    keep_recordings(check(goes_on=False), run)
    assert check() == json.loads((run / "recordings.json").read_text())
    moved = folder.rename(tmp_path / "elsewhere").rename(tmp_path / "voices")
    assert check() and moved == folder
    record(folder, "zoe")
    with pytest.raises(SerLiveError, match=r"4 new \(voices/angry/zoe/.* and 1 more\)"):
        check()
    assert check(goes_on=False)  # begun anew
    keep_recordings(check(goes_on=False), run)
    changed = next(folder.rglob("*.flac"))
    changed.write_bytes(changed.read_bytes() + b"!")
    with pytest.raises(SerLiveError, match=r"trained on other recordings.*1 changed \("):
        check()
    shutil.rmtree(folder / "sad" / "ann")
    with pytest.raises(SerLiveError, match=r"1 gone \(.*, 1 changed \("):
        check()


def test_a_lineage_comes_back_from_a_file_as_it_was(shipped):
    corpus = HeardCorpus("a, b", True, "mine", "fixed", "recordings", (), ("01",), ("02", "03"))
    lineage = Lineage((corpus,), shipped.metadata.lineage.beside, is_refit=True)
    metadata = replace(shipped.metadata, lineage=lineage)
    assert ModelMetadata.from_json(metadata.to_json()).lineage == lineage
    assert Lineage.from_dict(json.loads(json.dumps(asdict(lineage)))) == lineage


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(corpora=3),
        lambda v: v.update(is_refit="no"),
        lambda v: v["corpora"][0].update(held_by="nobody"),
        lambda v: v["corpora"][0].update(test=["a\x1b[2J"]),
        lambda v: v["corpora"][0].update(test=[1]),
        lambda v: v["corpora"][0].update(test="all"),
        lambda v: v["corpora"][0].update(test=[f"{n}" for n in range(60_000)]),
        lambda v: v["corpora"][0].pop("split"),
        lambda v: v["beside"].append("noise"),
        lambda v: v["beside"].append({"name": "", "licence": "MIT"}),
    ],
)
def test_an_impossible_lineage_is_refused(shipped, change):
    values = json.loads(shipped.metadata.to_json())
    change(values["lineage"])
    with pytest.raises(SerLiveError, match="incomplete or wrong"):
        ModelMetadata.from_json(json.dumps(values))


def test_the_shipped_models_name_the_held_back_speakers(shipped):
    (cremad,) = shipped.metadata.lineage.corpora
    assert (len(cremad.trained), len(cremad.validation), len(cremad.test)) == (48, 16, 16)
    assert cremad.held_back.isdisjoint(cremad.trained)


@pytest.mark.parametrize("corpus", ["cremad", "emogator"])
@pytest.mark.parametrize("folder", ["here", "over/there"])
def test_a_recording_keeps_its_name_wherever_the_corpora_lie(tmp_path, corpus, folder):
    """Of a corpus with labels, and of voices without."""
    corpora = tmp_path / folder
    one = Utterance(corpora / corpus / "data" / "a.wav", "", "1", corpus)
    assert place_of(one, corpora) == f"{corpus}/data/a.wav"
