"""What other systems lack, or have besides: tried here by taking it away, or putting it in."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from streamer.outputs import write_whole
from streamer.serve import host
from streamer.serve.metrics import _resident_bytes
from streamer.session import interrupts
from streamer.session.interrupts import Interrupted, Interrupts, ending_signals
from streamer.sound.capture.losses import asleep_s

needs_sigusr1 = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no SIGUSR1")


def test_a_file_is_replaced_where_open_files_have_no_mode(tmp_path, monkeypatch):
    def refuse(*_):
        raise TypeError("chmod: path should be string, bytes or os.PathLike, not int")

    monkeypatch.setattr(os, "chmod", refuse)
    path = tmp_path / "me.profile"
    path.write_text("before")
    write_whole(path, b"after", force=True)
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    null = tmp_path / "null"
    os.mkfifo(null)
    reader = os.open(null, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(null, b"after", force=True)
    assert os.read(reader, 9) == b"after"
    os.close(reader)
    assert null.is_fifo()


@needs_sigusr1
def test_ctrl_break_ends_a_session_as_ctrl_c_does(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    before = {number: signal.getsignal(number) for number in ending_signals()}
    try:
        installed = Interrupts()
        installed.install()
        assert signal.getsignal(signal.SIGUSR1) is not signal.SIG_DFL
        signal.raise_signal(signal.SIGUSR1)
        with pytest.raises(Interrupted) as caught:
            installed.check()
        assert caught.value.number == signal.SIGUSR1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@needs_sigusr1
def test_ctrl_break_stops_the_server(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    stopped = []
    before = signal.getsignal(signal.SIGUSR1)
    with host._signals(stopped.append):
        assert signal.getsignal(signal.SIGUSR1) is not before
        signal.raise_signal(signal.SIGUSR1)
    assert stopped == [signal.SIGUSR1]
    assert signal.getsignal(signal.SIGUSR1) == before


def test_signals_that_the_system_lacks_are_left_out(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    assert {one.name for one in ending_signals()} == {"SIGINT", "SIGTERM"}


def test_a_session_ends_from_a_thread_where_threads_get_no_signals(monkeypatch):
    called = []
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(interrupts._thread, "interrupt_main", lambda: called.append(True))
    Interrupts().quit()
    assert called


def test_sleep_counts_for_nothing_where_no_clock_tells(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert asleep_s() == 0.0


def test_the_server_runs_where_no_file_tells_its_memory(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.read_text", missing)
    assert _resident_bytes() == 0
