"""Corpora in their official layouts, own recordings, and the output of ``prepare``."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.errors import SerLiveError
from tests.helpers.places import CLIPS
from tests.helpers.training import run_train
from tests.helpers.trees import make_corpus, make_dialog, make_tree
from train.corpora.known import CORPORA, EMOTIONS, at_hand, read_corpus
from train.corpora.own_recordings import UNKNOWN

UNPACKED = Path.home() / ".cache" / "ser-live" / "corpora"
FOUR = ("angry", "happy", "neutral", "sad")


def said(utterances):
    return [(one.label, one.speaker) for one in utterances]


def test_corpora_are_read_in_their_official_layout(tmp_path):
    make_tree(
        tmp_path / "cremad" / "AudioWAV",
        ["1001_DFA_ANG_XX.wav", "1002_IEO_DIS_HI.wav", "1040_ITH_SAD_X.wav"],
    )
    make_tree(tmp_path / "cremad" / "AudioMP3", ["1001_DFA_ANG_XX.mp3"])
    make_tree(
        tmp_path / "ravdess",
        [
            "Actor_01/03-01-05-02-01-01-01.wav",
            "Actor_01/03-02-05-02-01-01-01.wav",  # song
            "Actor_01/01-01-05-02-01-01-01.wav",  # sound of the video
            "Actor_02/03-01-02-02-01-01-02.flac",  # calm
            "03-01-04-01-01-01-02.flac",
        ],
    )
    make_tree(tmp_path / "nemo" / "samples", ["WR0_happiness_84.opus", "WR0_surprised_1.opus"])
    make_tree(tmp_path / "emodb" / "wav", ["03a01Fa.wav", "16b10Lb.wav", "11a05Wc.wav"])
    make_tree(
        tmp_path / "tess" / "TESS Toronto emotional speech set data",
        [
            "OAF_angry/OAF_back_angry.wav",
            "OAF_neutral/OA_bite_neutral.wav",  # so in the official archive
            "YAF_pleasant_surprised/YAF_young_ps.wav",
            "YAF_sad/YAF_dog_sad.wav",
        ],
    )
    found = {name: said(read_corpus(name, tmp_path, FOUR)) for name in at_hand(tmp_path)}
    assert found == {
        "cremad": [("angry", "1001"), ("sad", "1040")],
        "ravdess": [("sad", "02"), ("angry", "01")],
        "nemo": [("happy", "WR0")],
        "emodb": [("happy", "03"), ("angry", "11")],
        "tess": [("angry", "OA"), ("neutral", "OA"), ("sad", "YA")],
    }
    assert ("surprise", "YA") in said(read_corpus("tess", tmp_path))
    assert ("bored", "16") in said(read_corpus("emodb", tmp_path))


@pytest.mark.parametrize("below", ["", "IEMOCAP_full_release"])
def test_iemocap_is_read_from_its_evaluation_files(tmp_path, below):
    root = tmp_path / "iemocap" / below
    spoken = {"F000": "neu", "M003": "exc", "F004": "hap", "M005": "xxx", "M006": "fru"}
    make_dialog(root, "Ses01F_impro01", spoken)
    make_dialog(root, "Ses05M_script01_1b", {"F001": "ang", "M000": "sad"})
    evaluations = root / "Session1" / "dialog" / "EmoEvaluation"
    make_tree(evaluations, ["._Ses01F_impro01.txt", "Attribute/Ses01F_impro01_atr.txt"])
    make_tree(root / "Session1" / "sentences" / "wav", ["Ses01F_impro01/._Ses01F_impro01_F000.wav"])
    utterances = read_corpus("iemocap", tmp_path, FOUR)
    assert said(utterances) == [
        ("neutral", "Ses01F"),
        ("happy", "Ses01M"),
        ("happy", "Ses01F"),
        ("angry", "Ses05F"),
        ("sad", "Ses05M"),
    ]
    assert [one.session for one in utterances] == ["Ses01"] * 3 + ["Ses05"] * 2
    assert utterances[1].path.name == "Ses01F_impro01_M003.wav"
    assert "research" in utterances[0].licence


def test_iemocap_faults_are_reported_in_one_line(tmp_path):
    root = tmp_path / "iemocap"
    make_dialog(root, "Ses02F_impro01", {"F000": "neu"})
    (root / "Session2/sentences/wav/Ses02F_impro01/Ses02F_impro01_F000.wav").unlink()
    with pytest.raises(SerLiveError, match=r"txt line 3: .*Ses02F_impro01_F000 is missing"):
        read_corpus("iemocap", tmp_path)
    (root / "Session2/dialog/EmoEvaluation/Ses02F_impro01.txt").write_text("[1 - 2] nonsense\n")
    with pytest.raises(SerLiveError, match="txt line 1: not understood"):
        read_corpus("iemocap", tmp_path)


@pytest.mark.parametrize(
    ("corpus", "stray"),
    [
        ("cremad", "AudioWAV/mine.wav"),
        ("cremad", "AudioWAV/1001_DFA_JOY_XX.wav"),
        ("ravdess", "Actor_01/03-01-05.wav"),
        ("nemo", "samples/a_b_c_d.wav"),
        ("emodb", "wav/03a01Xa.wav"),
        ("tess", "OAF_angry/notes.wav"),
    ],
)
def test_a_name_that_does_not_fit_is_reported_in_one_line(tmp_path, corpus, stray):
    make_corpus(tmp_path, corpus)
    make_tree(tmp_path / corpus, [stray])
    with pytest.raises(SerLiveError, match="look like") as told:
        read_corpus(corpus, tmp_path)
    assert Path(stray).name in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", CORPORA)
def test_a_missing_corpus_says_where_to_get_it(tmp_path, name):
    with pytest.raises(SerLiveError, match=f"get the corpus at {CORPORA[name].source}"):
        read_corpus(name, tmp_path, FOUR)
    with pytest.raises(SerLiveError, match=CORPORA[name].source):
        at_hand(tmp_path)


def test_an_unknown_corpus_names_the_known_ones(tmp_path):
    with pytest.raises(SerLiveError, match="known are iemocap, cremad"):
        read_corpus("emodb9", tmp_path, FOUR)


def test_the_recording_that_is_silent_in_the_original_is_not_read(tmp_path):
    make_tree(tmp_path / "cremad" / "AudioWAV", ["1076_MTI_SAD_XX.wav", "1076_MTI_FEA_XX.wav"])
    assert said(read_corpus("cremad", tmp_path)) == [("fear", "1076")]


def test_the_label_table_agrees_with_what_the_corpora_hold():
    for name, corpus in CORPORA.items():
        assert set(corpus.recordings) == set(EMOTIONS[name].values())
        assert set(FOUR) <= set(corpus.recordings)
    totals = {name: sum(corpus.recordings.values()) for name, corpus in CORPORA.items()}
    assert totals == {
        "iemocap": 7529, "cremad": 7442, "ravdess": 1440, "nemo": 4481, "emodb": 535, "tess": 2800,
    }  # fmt: skip
    assert sum(CORPORA["iemocap"].recordings[label] for label in FOUR) == 5531  # the paper


@pytest.mark.skipif(not UNPACKED.exists(), reason=f"needs the corpora in {UNPACKED}")
def test_the_corpora_present_are_complete():
    counts = {
        name: len(read_corpus(name, UNPACKED, FOUR)) for name in ("cremad", "ravdess", "nemo")
    }
    assert counts == {"cremad": 4303, "ravdess": 672, "nemo": 3076}


def test_own_recordings_are_read_from_class_folders(tmp_path):
    make_tree(
        tmp_path / "mine",
        ["bored/a.wav", "bored/anna/b.flac", "keen/anna/monday/c.ogg", "keen/.d.wav", "notes.txt"],
    )
    name = str(tmp_path / "mine")
    utterances = read_corpus(name, tmp_path, ("bored", "keen"))
    assert said(utterances) == [("bored", UNKNOWN), ("bored", "anna"), ("keen", "anna")]
    assert {one.corpus for one in utterances} == {name}
    assert utterances[0].licence == "the owner's"


def test_own_recordings_of_every_kind_are_read(tmp_path):
    for name in ("a.wav", "b.M4A", "c.webm", "notes.txt", ".hidden.wav"):
        (tmp_path / "calm" / "ann").mkdir(parents=True, exist_ok=True)
        (tmp_path / "calm" / "ann" / name).touch()
    found = read_corpus(str(tmp_path), tmp_path)
    assert [one.path.name for one in found] == ["a.wav", "b.M4A", "c.webm"]


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path, monkeypatch):
    """As another user's; the tests may run as one who may do all."""
    locked = tmp_path / "calm" / "bob"
    locked.mkdir(parents=True)
    (tmp_path / "calm" / "ann.wav").touch()
    scandir = os.scandir

    def refused(path):
        if Path(path) == locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(SerLiveError, match=r"cannot look into .*bob: Permission denied"):
        read_corpus(str(tmp_path), tmp_path)


def test_own_recordings_are_read_from_a_table(tmp_path):
    make_tree(tmp_path, ["x/one.wav", "two.wav"])
    table = tmp_path / "mine.csv"
    table.write_text("\ufefflabel,file,speaker,note\nkeen,x/one.wav,anna,\nbored,two.wav,,\n")
    assert said(read_corpus(str(table), tmp_path)) == [("keen", "anna"), ("bored", UNKNOWN)]
    table.write_text(f"file,label\n{tmp_path / 'two.wav'},keen\n")
    assert said(read_corpus(str(table), tmp_path)) == [("keen", UNKNOWN)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\n", "no column file"),
        ("", "no column file and no column label"),
        ("file,label\none.wav,keen\n\ntwo.wav,keen\n", "line 4: there is no file"),
        ("file,label\none.wav,\n", "line 2: one.wav has no label"),
        ("file,label\none.wav\n", "line 2: one.wav has no label"),
        ("file,label\none.wav,keen\none.wav,bored\n", "line 3: one.wav is in line 2 already"),
        ("file,label\n", "no recordings"),
    ],
)
def test_faults_of_a_table_are_reported_in_one_line(tmp_path, text, said):
    make_tree(tmp_path, ["one.wav"])
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(SerLiveError, match=said):
        read_corpus(str(tmp_path / "mine.csv"), tmp_path)


def test_faults_of_a_folder_are_reported_in_one_line(tmp_path):
    with pytest.raises(SerLiveError, match="no folder of class folders"):
        read_corpus(str(tmp_path / "nowhere"), tmp_path)
    with pytest.raises(SerLiveError, match="no recordings"):
        read_corpus(str(tmp_path), tmp_path)
    make_tree(tmp_path, ["loose.wav"])
    with pytest.raises(SerLiveError, match=r"loose\.wav: lies in no class folder"):
        read_corpus(str(tmp_path), tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"file,label\n\xff\xfe,x\n")
    with pytest.raises(SerLiveError, match="no table in UTF-8"):
        read_corpus(str(tmp_path / "binary.csv"), tmp_path)


def test_labels_that_own_recordings_lack_are_reported_with_those_they_have(tmp_path):
    make_tree(tmp_path, ["Angry/a.wav", "calm/b.wav"])
    with pytest.raises(SerLiveError, match=r"no recording is angry or sad; .* are Angry, calm"):
        read_corpus(str(tmp_path), tmp_path, ("angry", "sad"))


def prepare(monkeypatch, capsys, *arguments):
    code = run_train(monkeypatch, "prepare", *arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def recordings(tmp_path):
    """Two actors in CREMA-D's layout: the second with a duplicate and a silent recording."""
    folder = tmp_path / "cremad" / "AudioWAV"
    folder.mkdir(parents=True)
    for clip in CLIPS:
        _, sentence, emotion, level = clip.stem.split("_")
        (folder / f"1001_{sentence}_{emotion}_{level}.flac").write_bytes(clip.read_bytes())
    samples, rate = soundfile.read(CLIPS[0])
    soundfile.write(folder / "1002_DFA_SAD_XX.wav", samples, rate)
    soundfile.write(folder / "1002_TIE_SAD_XX.wav", np.zeros(16_000), 16_000)
    return tmp_path


def test_prepare_compares_a_corpus_with_its_official_contents(recordings, monkeypatch, capsys):
    code, out, err = prepare(monkeypatch, capsys, "--corpora", recordings)
    assert code == 0
    assert f"{len(CLIPS) + 2} of 7442" in out
    assert "2 of 91" in out
    assert f"a part of the corpus: {len(CLIPS) + 2} of 7441" in out
    assert "silent: 1002_TIE_SAD_XX" in out
    assert "identical audio under different labels: 1001_IWW_ANG_XX = 1002_DFA_SAD_XX" in out
    assert "the split 'fixed' leaves nothing for train" in out
    assert f"IEMOCAP: not here; get it at {CORPORA['iemocap'].source}" in out
    assert "listening to cremad" in err


def test_prepare_fails_for_unusable_corpora(recordings, monkeypatch, capsys):
    (recordings / "cremad" / "AudioWAV" / "1003_DFA_SAD_XX.wav").write_bytes(b"RIFF, not")
    code, out, _ = prepare(monkeypatch, capsys, "--corpora", recordings)
    assert code == 2
    assert "cannot be used before these are mended or removed" in out
    assert "1003_DFA_SAD_XX.wav" in out
    code, out, _ = prepare(monkeypatch, capsys, "emodb", "--corpora", recordings)
    assert code == 2
    assert "EmoDB: cannot be used: no EmoDB recordings" in out
    code, _, err = prepare(monkeypatch, capsys, "--corpora", recordings / "cremad")
    assert code == 2
    assert "no corpus in" in err


def test_prepare_warns_of_own_recordings_without_speakers(recordings, monkeypatch, capsys):
    for number, clip in enumerate(CLIPS):
        folder = recordings / "my [red] voices" / f"mood {number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / clip.name).write_bytes(clip.read_bytes())
    code, out, _ = prepare(monkeypatch, capsys, recordings / "my [red] voices")
    assert code == 0
    assert "my [red] voices: " in out
    assert "nobody says who speaks" in out
    assert "splits: fixed, random/SEED" in out
    assert "mood 1" in out


def test_more_than_a_corpus_holds_is_noticed(recordings, monkeypatch, capsys):
    monkeypatch.setitem(CORPORA, "emodb", replace(CORPORA["emodb"], recordings={"happy": 1}))
    for copy in ("wav", "wav/again"):
        folder = recordings / "emodb" / copy
        folder.mkdir(parents=True)
        (folder / "03a01Fa.flac").write_bytes(CLIPS[0].read_bytes())
    code, out, _ = prepare(monkeypatch, capsys, "emodb", "--corpora", recordings)
    assert code == 0
    assert "2 recordings where the corpus holds 1: is something there twice?" in out
    assert "identical audio: 03a01Fa = 03a01Fa" in out
