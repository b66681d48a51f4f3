"""Marked moments: handed on in order, to their own session, without anybody waiting."""

from __future__ import annotations

import io
import json
import threading

from streamer.events import Marked
from streamer.formats import JsonLines
from streamer.interrupts import Interrupts
from streamer.marking import Marking
from streamer.session import Pace, run_session
from tests.test_formats import ended, estimated, started
from tests.test_session import Array, Collect

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


class Pressing:
    """A sink that marks every moment it sees, from a thread of its own, as a screen does."""

    def __init__(self, marking):
        self.marking, self.session, self.time_s = marking, None, 0.0

    def take(self, event):
        if hasattr(event, "started"):
            self.session = event
        elif hasattr(event, "estimate"):
            self.time_s = event.estimate.time
            thread = threading.Thread(target=self.marking.mark, args=(self.session, self.time_s))
            thread.start()
            thread.join()


def test_a_mark_is_a_line_of_its_own(shipped, speech):
    out = io.StringIO()
    marking = Marking(JsonLines(out, names_file=True))
    run_session(
        Array(speech[:16_000]),
        shipped,
        [marking, Pressing(marking)],
        clock=Pace(None),
        block_ms=100,
        interrupts=Interrupts(),
    )
    written = [json.loads(line) for line in out.getvalue().splitlines()]
    marks = [line for line in written if line["type"] == "mark"]
    times = [line["time"] for line in written if line["type"] == "estimate"]
    assert marks[0] == {"type": "mark", "time": 0.04, "file": "array"}
    assert [mark["time"] for mark in marks] == times
    assert written[-1]["type"] == "end"
    assert written[-1]["estimates"] == len(times) == 25
