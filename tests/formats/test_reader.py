"""Sessions read back from JSON lines: as written, and nothing impossible."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from streamer.errors import SerLiveError
from streamer.formats.lines import JsonLines
from streamer.formats.reader import LONGEST_LINE, read_sessions
from streamer.session.clock import Pace
from streamer.session.events import Estimated, Gap, Marked, SessionEnded, SessionStarted
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from tests.helpers.profiles import PROFILE
from tests.helpers.sessions import Array, Collect, Lossy

HEADER = {
    "type": "session",
    "schema": 1,
    "source": "talk.wav",
    "sample_rate": 16_000,
    "model": "test",
    "labels": ["happy", "sad"],
    "look_ahead_ms": 175.0,
    "started": "2026-01-02T03:04:05.678+00:00",
}
ESTIMATE = {
    "type": "estimate",
    "time": 0.04,
    "label": "sad",
    "probabilities": {"happy": 0.25, "sad": 0.75},
    "speech": 0.5,
    "latency_ms": None,
}
GAP = {"type": "gap", "time": 0.04, "lost_samples": 160, "reason": "held up"}
MARK = {"type": "mark", "time": 0.04}
END = {
    "type": "end",
    "duration": 0.05,
    "estimates": 1,
    "summary": {"happy": 0.0, "sad": 1.0, "silence": 0.0, "uncertain": 0.0, "warming up": 0.0},
    "overall": "sad",
    "probabilities": {"happy": 0.25, "sad": 0.75},
}


def text_of(*values):
    return "".join(json.dumps(value) + "\n" for value in values)


@pytest.fixture
def read(tmp_path):
    """Read a file with the given text; return the sessions and the printed lines."""

    def read_text(text):
        path = tmp_path / "session.jsonl"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        said = []
        return read_sessions(path, said.append), said

    return read_text


@pytest.fixture
def refused(read):
    """Return the error for a file with the given text, without the file's name."""

    def complaint(text):
        with pytest.raises(SerLiveError) as caught:
            read(text)
        name, what = str(caught.value).split("session.jsonl", 1)
        assert name
        assert "\n" not in what
        return what

    return complaint


def test_a_written_session_is_read_back(shipped, speech, read):
    out, heard = io.StringIO(), Collect()
    sinks = [JsonLines(out, names_file=False), heard]
    run_session(
        Lossy(speech), shipped, sinks, clock=Pace(50.0), block_ms=100, interrupts=Interrupts()
    )
    ([session], said) = read(out.getvalue())
    start, *between, end = heard.events
    (gap,) = [event for event in between if isinstance(event, Gap)]
    estimated = [event for event in between if not isinstance(event, Gap)]
    assert said == []
    assert session.header.source == start.source
    assert session.header.labels == start.labels
    assert abs(session.header.started - start.started).total_seconds() < 0.001
    assert session.gaps == (gap,)
    assert session.marks.shape == (0,)
    assert session.labels == [event.estimate.label for event in estimated]
    assert session.times == pytest.approx([event.estimate.time for event in estimated])
    assert session.speech == pytest.approx([e.estimate.speech for e in estimated], abs=1e-6)
    assert session.probabilities == pytest.approx(
        np.array([event.estimate.probabilities for event in estimated]), abs=1e-6
    )
    is_lost = [event.is_lost for event in estimated]
    assert np.isnan(session.latency_ms).tolist() == is_lost
    assert session.end.overall == end.overall
    assert session.end.summary == pytest.approx(end.summary, abs=1e-6)
    assert session.duration_s == pytest.approx(end.duration_s)


def test_the_prior_is_read_and_older_files_are_balanced(read):
    for line, prior in ((HEADER, "balanced"), (HEADER | {"prior": "everyday"}, "everyday")):
        ([session], _) = read(text_of(line))
        assert session.header.prior == prior


def test_several_recordings_are_several_sessions(shipped, speech, read):
    out = io.StringIO()
    sink = JsonLines(out, names_file=True)
    for length in (16_000, 32_000):
        run_session(
            Array(speech[:length]),
            shipped,
            [sink],
            clock=Pace(None),
            block_ms=100,
            interrupts=Interrupts(),
        )
    sessions, _ = read(out.getvalue())
    assert [len(session.times) for session in sessions] == [25, 50]
    assert [session.end.estimates for session in sessions] == [25, 50]


def test_simultaneous_events_keep_their_live_order(read):
    ([session], _) = read(text_of(HEADER, MARK, ESTIMATE, GAP, END))
    types = [type(event) for event in session.events()]
    assert types == [SessionStarted, Gap, Estimated, Marked, SessionEnded]


def test_a_killed_session_has_no_end(read):
    ([session], said) = read(text_of(HEADER, ESTIMATE, MARK))
    assert session.end is None
    assert session.marks.tolist() == [0.04]
    assert session.duration_s == 0.04
    assert said == []


def test_the_duration_of_a_killed_session_covers_all_that_is_known(read):
    ([session], _) = read(text_of(HEADER, ESTIMATE, MARK | {"time": 0.045}, GAP))
    assert session.duration_s == pytest.approx(0.05)
    ([session], _) = read(text_of(HEADER, ESTIMATE, GAP | {"lost_samples": 1}, MARK | {"time": 1}))
    assert session.duration_s == 1.0
    assert read(text_of(HEADER))[0][0].duration_s == 0.0


@pytest.mark.parametrize("kept", [1, 20, 100])
def test_a_truncated_last_line_is_dropped_and_reported(read, kept):
    whole = text_of(HEADER, ESTIMATE)
    ([session], said) = read(whole + text_of(ESTIMATE | {"time": 0.08})[:kept])
    assert session.times.tolist() == [0.04]
    [line] = said
    assert line.endswith("session.jsonl ends in the middle of line 3, which is left out")


def test_a_last_line_that_only_lacks_its_newline_counts(read):
    ([session], said) = read(text_of(HEADER, ESTIMATE, END).rstrip("\n"))
    assert session.end is not None
    assert said == []


def test_additions_of_later_versions_are_ignored(read):
    weather = {"type": "weather", "time": "noon"}
    lines = (HEADER, ESTIMATE, GAP, MARK, END)
    plain = text_of(*lines)
    richer = text_of(weather, *(line | {"more": [1]} for line in lines), weather)
    for text in (plain, richer):
        ([session], _) = read(text)
        assert session.labels == ["sad"]
        assert session.end is not None
        assert len(session.gaps) == len(session.marks) == 1


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nonsense", "not JSON (Expecting value)"),
        (b"\xff\xfe", "not JSON (not UTF-8)"),
        ('{"type":"estimate","time":NaN}', "NaN is no JSON number"),
        (DEEP, "not JSON (nested too deeply)"),
        ("1" * 5000, "not JSON"),
        ("[]", "must be an object"),
        ("{}", "type must be text"),
        ({"type": ["gap"]}, "type must be text"),
        (HEADER | {"schema": 2}, "schema 2; this ser-live reads schema 1"),
        (HEADER | {"schema": True}, "schema True"),
        (HEADER | {"labels": ["sad"]}, "labels must be two or more"),
        (HEADER | {"labels": ["sad", "sad"]}, "labels must be two or more"),
        (HEADER | {"labels": ["sad", "silence"]}, "labels must be two or more"),
        (HEADER | {"labels": [["sad"], "happy"]}, "labels must be two or more"),
        (HEADER | {"started": "noon"}, "started must be a date"),
        (HEADER | {"started": "2026-01-02T03:04:05"}, "time zone"),
        (HEADER | {"sample_rate": 0}, "sample_rate must be a whole number in 1.."),
        (HEADER | {"sample_rate": 16_000.0}, "sample_rate must be a whole number"),
        (HEADER | {"source": None}, "source must be text"),
        (HEADER | {"look_ahead_ms": -1}, "look_ahead_ms must be a number in 0.."),
        (HEADER | {"prior": "sunday"}, "prior must be one of everyday, balanced, is 'sunday'"),
        (HEADER | {"prior": ["everyday"]}, "prior must be one of"),
        (HEADER | {"prior": None}, "prior must be one of"),
        ({"type": "estimate"}, "an estimate without time"),
        (ESTIMATE | {"label": "angry"}, "label 'angry' is none of the session's"),
        (ESTIMATE | {"label": []}, "label [] is none of the session's"),
        (ESTIMATE | {"probabilities": {"sad": 1.0}}, "a number for each of happy, sad"),
        (ESTIMATE | {"probabilities": [0.5, 0.5]}, "a number for each of happy, sad"),
        (ESTIMATE | {"speech": True}, "must be numbers"),
        (ESTIMATE | {"time": "0.04"}, "must be numbers"),
        (ESTIMATE | {"time": 10**400}, "a number is too large"),
        (ESTIMATE | {"time": 1e300}, "time must be at most 1e+08 s"),
        (ESTIMATE | {"time": -0.04}, "time must be more than 0"),
        (ESTIMATE | {"time": 0.0}, "time must be more than 0"),
        (ESTIMATE | {"speech": 1.5}, "speech and probabilities must lie in 0..1"),
        (ESTIMATE | {"probabilities": {"happy": -1, "sad": 2}}, "must lie in 0..1"),
        ('{"type":"mark","time":1e999}', "time must be a number in 0.."),
        (ESTIMATE | {"latency_ms": "late"}, "latency_ms must be"),
        (ESTIMATE | {"latency_ms": 10**400}, "latency_ms must be"),
        (ESTIMATE | {"file": "other.wav"}, "of another file than 'talk.wav'"),
        (GAP | {"lost_samples": 0}, "lost_samples must be a whole number in 1.."),
        (GAP | {"lost_samples": 10**18}, "lost_samples must be a whole number in 1.."),
        ({"type": "gap", "time": 0}, "lost_samples must be"),
        (GAP | {"reason": 5}, "reason must be text"),
        (MARK | {"time": None}, "time must be a number in 0.."),
        (END | {"overall": "bored"}, "overall 'bored' is none of the session's labels"),
        (END | {"duration": "long"}, "duration must be a number"),
        (END | {"summary": {"sad": 1.0}}, "happy must be a number in 0..1"),
        (END | {"probabilities": None}, "probabilities must be an object"),
    ],
)
def test_a_wrong_line_is_named(refused, line, complaint):
    if isinstance(line, dict):
        line = json.dumps(line)
    data = line if isinstance(line, bytes) else line.encode()
    what = refused(text_of(HEADER).encode() + data + b"\n" + text_of(END).encode())
    assert what.startswith(", line 2: ")
    assert complaint in what


@pytest.mark.parametrize("line", [ESTIMATE, GAP | {"time": 0.02}, MARK | {"time": 0.02}])
def test_time_does_not_go_backwards(refused, line):
    earlier = text_of(HEADER, ESTIMATE, GAP, MARK)
    assert refused(earlier + text_of(line)) == ", line 5: time goes backwards"


def test_estimates_are_far_enough_apart_for_formats_that_count_milliseconds(read, refused):
    ([session], _) = read(text_of(HEADER, ESTIMATE, ESTIMATE | {"time": 0.046}))
    assert session.times.tolist() == [0.04, 0.046]
    what = refused(text_of(HEADER, ESTIMATE, ESTIMATE | {"time": 0.044}))
    assert what == ", line 3: time is less than 0.005 s after the last"


def test_additions_of_editors_are_ignored(read):
    text = "\ufeff" + text_of(HEADER) + "\n \r\n" + text_of(ESTIMATE, END) + "\n\n"
    ([session], said) = read(text)
    assert session.times.tolist() == [0.04]
    assert session.end is not None
    assert said == []


def test_the_first_wrong_estimate_is_named(refused):
    rows = [ESTIMATE | {"time": 0.04 * n} for n in range(1, 6)]
    rows[3]["speech"] = rows[4]["time"] = 7e10
    assert refused(text_of(HEADER, *rows)).startswith(", line 5: speech and")


def test_a_line_needs_its_session(refused):
    assert refused(text_of(ESTIMATE)) == ", line 1: estimate without a session line before it"
    assert refused(text_of(HEADER, END, MARK)).startswith(", line 3: mark without a session")


@pytest.mark.parametrize("text", ["", "hello", text_of({"type": "weather"})])
def test_a_file_without_a_session_is_refused(refused, text):
    assert refused(text) == ": holds no session"


def test_an_endless_line_is_not_read_to_its_end(refused):
    endless = b'{"type":"' + b"x" * (3 * LONGEST_LINE)
    what = refused(text_of(HEADER).encode() + endless)
    assert what == f", line 2: longer than {LONGEST_LINE} bytes"


def test_a_file_that_cannot_be_opened_is_reported(tmp_path):
    for path in (tmp_path / "missing", tmp_path, tmp_path / "nul\0"):
        with pytest.raises(SerLiveError, match="cannot read"):
            read_sessions(path, print)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"file":"x","channel":"mix","overall":null,"error":"e","prior":"balanced"}\n', "score"),
        (b"file,channel,duration_s,overall,error,prior\r\n", "results of ser-live score"),
        (b"PAR1\x15\x04", "results of ser-live score, .* score --timeline DIR"),
        (b"\xef\xbb\xbffile,time,label,speech,latency_ms,p_sad\r\n", "a session as a table"),
        (b"fLaC\0\0\0\x22" + bytes(40), "sound, not a session"),
        (b"ID3\4\0\0\0\0\0\0", "sound, not a session"),
        (PROFILE.to_json().encode() + b"\n", "profile of a voice"),
        (b"1\r\n00:00:00,000 --> 00:00:00,440\r\nsad\r\n", "labels for another program"),
    ],
)
def test_a_file_of_another_kind_is_identified(tmp_path, data, said):
    path = tmp_path / "other.jsonl"
    path.write_bytes(data)
    with pytest.raises(SerLiveError, match=rf"other\.jsonl: holds .*{said}"):
        read_sessions(path, print)
