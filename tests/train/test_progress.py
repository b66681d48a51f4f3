"""How far a training is, for whoever reads stderr."""

from __future__ import annotations

import pytest

from train import progress
from train.progress import Lines, tracked


def test_without_a_terminal_the_start_and_the_end_are_lines(capsys):
    assert list(tracked("ab", [64, 36], "recordings are decoded")) == ["a", "b"]
    assert capsys.readouterr().err.splitlines() == [
        "train: 0 of 100 recordings are decoded",
        "train: 100 of 100 recordings are decoded",
    ]


def test_between_them_is_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_S", 0.0)
    assert len(list(tracked("abc", [1, 1, 1], "sessions are heard"))) == 3
    told = capsys.readouterr().err.splitlines()
    assert "train: 1 of 3 sessions are heard" in told
    assert "train: 2 of 3 sessions are heard" in told


def test_the_first_line_comes_before_anything_is_done(capsys):
    def failing():
        raise OSError("stop")
        yield

    with pytest.raises(OSError, match="stop"):
        list(tracked(failing(), [1], "recordings are decoded"))
    assert capsys.readouterr().err == "train: 0 of 1 recordings are decoded\n"


@pytest.mark.parametrize("is_told", [True, False])
def test_steps_are_told_by_who_leads(capsys, monkeypatch, is_told):
    monkeypatch.setattr(progress, "LINE_S", 0.0)
    lines = Lines(2, "steps of epoch 1 of 2 are done", is_told=is_told)
    lines.advance()
    assert ("train: 1 of 2 steps of epoch 1 of 2 are done" in capsys.readouterr().err) is is_told
