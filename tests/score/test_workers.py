"""Processes that hear recordings: their signs of life, their deaths."""

from __future__ import annotations

import multiprocessing
import os
import signal

import numpy as np
import pytest
import soundfile

from streamer.commands.score.hearing.signs import Clock, now_and_then
from streamer.commands.score.hearing.work import Task, empty_row, hear
from streamer.commands.score.hearing.workers import Workers
from streamer.errors import RunFailure
from streamer.session.interrupts import Interrupts
from tests.helpers.places import CLIPS
from tests.score.rows import LABELS


def test_a_worker_that_dies_costs_the_recording_that_it_heard(tmp_path, model_file):
    long = tmp_path / "long.wav"
    soundfile.write(long, np.random.default_rng(0).normal(0, 0.1, 60 * 16_000), 16_000)
    cut = tmp_path / "cut.jsonl"
    tasks = [Task(path, path.name, None) for path in (CLIPS[0], long, CLIPS[1], CLIPS[2])]
    tasks[1] = Task(long, "long.wav", cut)
    with Workers(1, model_file, "balanced", LABELS, Interrupts()) as workers:
        answers = workers.answers(tasks)
        rows = [next(answers)[1].row]
        (worker,) = multiprocessing.active_children()
        worker.kill()
        rows += [answer.row for _, answer in answers]
    assert [row["file"] for row in rows] == [task.name for task in tasks]
    died = "the process that heard it died (signal 9)"
    assert [row["error"] for row in rows] == [None, died, None, None]
    assert rows[1] == empty_row(LABELS, tasks[1], died)
    assert not cut.exists()
    assert not multiprocessing.active_children()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_a_worker_that_hangs_costs_the_recording_that_it_heard(tmp_path, model_file):
    long = tmp_path / "long.wav"
    soundfile.write(long, np.random.default_rng(0).normal(0, 0.1, 60 * 16_000), 16_000)
    tasks = [Task(path, path.name, None) for path in (CLIPS[0], long, CLIPS[1], CLIPS[2])]
    with Workers(1, model_file, "balanced", LABELS, Interrupts(), silent_s=2.0) as workers:
        answers = workers.answers(tasks)
        rows = [next(answers)[1].row]
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid, signal.SIGSTOP)
        rows += [answer.row for _, answer in answers]
    assert [row["file"] for row in rows] == [task.name for task in tasks]
    silent = "the process that heard it gave no sign of life for 2 s"
    assert [row["error"] for row in rows] == [None, silent, None, None]
    assert not multiprocessing.active_children()


def test_what_is_heard_gives_signs_of_life(shipped, tmp_path):
    """At each block of some seconds, however long the recording is."""
    noise = tmp_path / "noise.wav"
    soundfile.write(noise, np.random.default_rng(0).normal(0, 0.1, 20 * 16_000), 16_000)
    signs = []
    hear(Task(noise, "x", None), shipped, alive=lambda: signs.append(None))
    assert len(signs) > 20 / 3


def test_signs_of_life_are_few(monkeypatch):
    monkeypatch.setattr("time.monotonic", iter([0.0, *np.arange(0.0, 60.0, 0.5)]).__next__)
    signs = []
    alive = now_and_then(lambda: signs.append(None), 600.0)
    for _ in range(120):
        alive()
    assert len(signs) == 3


def test_no_worker_hangs_while_the_program_is_stopped(monkeypatch):
    monkeypatch.setattr("time.monotonic", iter([0.0, 1.0, 3601.0, 3602.0]).__next__)
    clock = Clock()
    assert [clock.look(), clock.look(), clock.look()] == [1.0, 11.0, 12.0]


def test_workers_that_cannot_start_end_the_run(tmp_path):
    workers = Workers(2, tmp_path / "gone.onnx", "balanced", LABELS, Interrupts())
    with pytest.raises(RunFailure, match="cannot start"), workers:
        next(workers.answers([Task(CLIPS[0], "x", None)]))
    assert not multiprocessing.active_children()
