"""Marked moments: handed on in order, to their own session, without anybody waiting."""

from __future__ import annotations

import io
import json
import threading

from streamer.formats.lines import JsonLines
from streamer.screen.monitor import Monitor
from streamer.session.clock import Pace
from streamer.session.events import Marked
from streamer.session.interrupts import Interrupts
from streamer.session.marks import Marking
from streamer.session.run import run_session
from tests.helpers.sessions import Array, Collect, ended, estimated, started

LABELS = ("angry", "sad")


def feed(marking, *events):
    for event in events:
        marking.take(event)


def test_a_mark_comes_after_the_estimates_that_were_shown():
    sink = Collect()
    marking = Marking(sink)
    start, shown, next_one = (
        started(LABELS), estimated(0.04, "sad", LABELS), estimated(0.08, "sad", LABELS),
    )  # fmt: skip
    feed(marking, start, shown)
    marking.mark(start, 0.04)
    feed(marking, next_one)
    assert sink.events == [start, shown, next_one, Marked(0.04)]


def test_nothing_comes_after_the_last_event():
    sink = Collect()
    marking = Marking(sink)
    start, end = started(LABELS), ended(0.04, LABELS)
    feed(marking, start)
    marking.mark(start, 0.04)
    feed(marking, end)
    marking.mark(start, 0.04)
    assert sink.events == [start, Marked(0.04), end]


def test_a_mark_of_an_ended_session_is_not_one_of_the_next():
    sink = Collect()
    marking = Marking(sink)
    first, second = started(LABELS), started(LABELS)
    feed(marking, first, ended(0.04, LABELS))
    marking.mark(first, 0.04)
    feed(marking, second, ended(0.04, LABELS))
    assert not any(isinstance(event, Marked) for event in sink.events)


class Written(io.StringIO):
    """Lets a person press a key in the middle of each estimate's line, and knows who writes."""

    def __init__(self):
        super().__init__()
        self.writers = set()
        self.is_mid_line, self.is_pressed = threading.Event(), threading.Event()

    def write(self, text):
        self.writers.add(threading.current_thread())
        super().write(text[:9])
        if "estimate" in text:
            self.is_pressed.clear()
            self.is_mid_line.set()
            self.is_pressed.wait(10)
        super().write(text[9:])

    def press(self, marking, monitor, is_over):
        """The thread of a screen: marks what the monitor knows."""
        while not is_over.is_set():
            if self.is_mid_line.wait(0.01):
                self.is_mid_line.clear()
                marking.mark(monitor.snapshot.session, monitor.snapshot.time)
                self.is_pressed.set()


def test_a_mark_is_a_line_of_its_own_whenever_it_is_made(shipped, speech):
    out, monitor, is_over = Written(), Monitor(), threading.Event()
    marking = Marking(JsonLines(out, names_file=True))
    person = threading.Thread(target=out.press, args=(marking, monitor, is_over))
    person.start()
    try:
        run_session(
            Array(speech[:16_000]),
            shipped,
            [marking, monitor],
            clock=Pace(None),
            block_ms=100,
            interrupts=Interrupts(),
        )
    finally:
        is_over.set()
        person.join()
    assert out.writers == {threading.current_thread()}
    written = [json.loads(line) for line in out.getvalue().splitlines()]
    marks = [line for line in written if line["type"] == "mark"]
    times = [line["time"] for line in written if line["type"] == "estimate"]
    assert marks[1] == {"type": "mark", "time": 0.04, "file": "array"}
    # While a line is written, the estimate before it is what is seen.
    assert [mark["time"] for mark in marks] == [0.0, *times[:-1]]
    assert written[-1]["estimates"] == len(times) == 25
