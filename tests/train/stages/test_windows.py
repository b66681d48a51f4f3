"""Shorter rolling windows for a finished run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.baselines import c_bilstm
from streamer.errors import SerLiveError
from tests.helpers.generated import STREAMED, recipe_with
from tests.helpers.training import run_train
from train.stages.run import run
from train.stages.windows import windows_of

SETS = ["alone", "pauses of 3 s", "pauses of 1 s", "pauses of 0.4 s"]


@pytest.mark.usefixtures("few_surroundings")
def test_each_window_up_to_the_trained_one_is_tried_once(folders, monkeypatch, capsys):
    network = replace(STREAMED.network, attention="context", window_timesteps=51)  # 2.04 s
    run(replace(STREAMED, network=network, epochs=1), folders)
    trials = windows_of(folders)
    assert [round(one.seconds / 0.04) for one in trials] == [25, 38, 50, 51]
    for trial in trials:
        assert sorted(trial.uars) == sorted(trial.changes) == sorted(SETS)
        assert all(0 <= uar <= 100 for uar in trial.uars.values())
    places = ["--corpora", folders.corpora, "--cache", folders.cache]
    capsys.readouterr()
    assert run_train(monkeypatch, "windows", folders.run, *places) == 0
    assert "2.04" in capsys.readouterr().out


def test_a_network_without_a_rolling_window_has_none_to_shorten(folders):
    small = replace(c_bilstm(), channels=(2, 4), hidden=8, layers=1)
    run(recipe_with(network=small, epochs=1), folders)
    with pytest.raises(SerLiveError, match="has a window of one length"):
        windows_of(folders)
