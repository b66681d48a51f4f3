"""Labels in a table: which recordings they belong to, and the agreement with them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from streamer.commands.score.results.truth import agreement, read_truth
from streamer.errors import SerLiveError
from streamer.outputs import show
from tests.helpers.trees import make_tree
from tests.score.rows import LABELS, find


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, ["a/x.wav", "b/x.wav", "b/y.wav", "b/z.wav"])
    return find("a", "b")


def truth_of(items, text, path="t.csv"):
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("label,file\n" + text)
    return read_truth(Path(path), items, LABELS)


def test_labels_are_found_by_path_and_by_a_name_that_is_unique(recordings, tmp_path):
    seen_from_here = truth_of(recordings, f"sad,a/x.wav\nhappy,{tmp_path}/b/y.wav\n", "c/t.csv")
    assert seen_from_here.labels == {"a/x.wav": "sad", "b/y.wav": "happy"}
    seen_from_table = truth_of(recordings, "sad,x.wav\n", "b/t.csv")
    assert seen_from_table.labels == {"b/x.wav": "sad"}
    by_name = truth_of(recordings, "sad,elsewhere/y.wav\nangry,elsewhere/x.wav\n")
    assert by_name.labels == {"b/y.wav": "sad"}
    assert by_name.complaints == (
        "1 file is in t.csv, but not among the recordings (elsewhere/x.wav)",
        "3 recordings are not in t.csv (a/x.wav, b/x.wav, b/z.wav)",
    )


def test_a_table_of_more_than_was_scored_does_not_lend_its_labels(recordings):
    """a/y.wav was not scored, and is not b/y.wav."""
    truth = truth_of(recordings, "sad,a/y.wav\nangry,b/y.wav\n")
    assert truth.labels == {"b/y.wav": "angry"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sad,a/x.wav\nsad,./a/x.wav\n", r"line 3: \./a/x.wav is in line 2 already"),
        ("sad,nothing.wav\n", "names none of the recordings"),
        (
            "SAD,a/x.wav\nANG,b/y.wav\n",
            "its labels are SAD, ANG, the model's are angry, happy, neutral, sad",
        ),
    ],
)
def test_labels_that_cannot_be_used_are_refused(recordings, text, said):
    with pytest.raises(SerLiveError, match=said):
        truth_of(recordings, text)


def test_labels_of_which_the_model_knows_some_are_told(recordings):
    truth = truth_of(recordings, "sad,a/x.wav\nbored,b/x.wav\nbored,b/y.wav\nsad,b/z.wav\n")
    assert truth.complaints == (
        "2 recordings are left out of the comparison: t.csv gives labels that the model does not "
        "know (2 bored); it knows angry, happy, neutral, sad",
    )


def test_agreement_counts_silence_as_an_error_and_leaves_out_what_cannot_be_right():
    truth = {"a": "sad", "b": "sad", "c": "angry", "d": "disgust", "e": "sad"}
    overall = {"a": "sad", "b": "silence", "c": "angry", "d": "sad", "e": None}
    out = io.StringIO()
    show(agreement(truth, overall, LABELS), out)
    text = out.getvalue()
    assert "disgust" not in text  # it was told before anything was heard
    assert "left out: 1 that could not be heard" in text
    assert "3 recordings; errors as they have no speech: 1" in text
    # Recalls: sad 1 of 2, angry 1 of 1.
    assert "UAR 75.0 %, WA 66.7 %, macro F1 83.3 %" in text
    assert "│ sad     │     0 │     0 │       0 │   1 │          1 │     50.0 │" in text
