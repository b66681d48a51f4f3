"""Timelines: files for other programs are valid, cover the session, and agree with it."""

from __future__ import annotations

import csv
import html
import io
import json
from dataclasses import replace

import pytest

from streamer.commands.convert.run import convert
from streamer.errors import RunFailure, SerLiveError
from streamer.formats.lines import JsonLines, summary
from streamer.formats.names import TIMELINES
from streamer.formats.writers import open_timeline
from streamer.outputs import OutputFile
from streamer.recognition.decision import STATES
from streamer.session.clock import Pace
from streamer.session.events import Gap, Marked, SessionEnded
from streamer.session.interrupts import Interrupted, Interrupts
from streamer.session.run import run_session
from tests.helpers.sessions import Array, Lossy, ended, estimated, started
from tests.helpers.timelines import assert_tiled, textgrid_of

#: Labels that could break CSV, tab-separated text, Praat, subtitles and HTML.
ODD = ('quo"ted, comma', "tab\there", "two\nlines\r\nthree", "00:01 --> 00:02", "<b>&amp;", "7")
PLAIN = ("angry", "sad")
SHARES = dict.fromkeys(("angry", "sad", "calm", *STATES), 0.0)


def session(*labels_shown, labels=PLAIN, duration_s=None, extra=()):
    """Events of a session that shows these labels, 40 ms each; extra ones by their time."""
    shown = [
        (0.04 * number, estimated(0.04 * number, label, labels))
        for number, label in enumerate(labels_shown, 1)
    ]
    between = [event for _, event in sorted([*extra, *shown], key=lambda pair: pair[0])]
    if duration_s is None:
        duration_s = 0.04 * len(labels_shown)
    return [started(labels), *between, ended(duration_s, labels)]


def written(name, *sessions):
    out = io.StringIO()
    writer = open_timeline(name, out, len(sessions) > 1)
    for events in sessions:
        for event in events:
            writer.take(event)
    return out.getvalue()


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def audacity_of(text):
    rows = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [(float(start), float(end), label) for start, end, label in rows]


def srt_of(text):
    srt = pytest.importorskip("srt")
    return [(c.start.total_seconds(), c.end.total_seconds(), c.content) for c in srt.parse(text)]


def vtt_of(text):
    webvtt = pytest.importorskip("webvtt")
    cues = webvtt.from_string(text)
    return [(_seconds(c.start), _seconds(c.end), html.unescape(c.text)) for c in cues]


def _seconds(clock):
    hours, minutes, seconds = clock.split(":")
    return pytest.approx(3600 * int(hours) + 60 * int(minutes) + float(seconds))


def test_every_name_of_the_command_line_is_a_format():
    for name in TIMELINES:
        open_timeline(name, io.StringIO(), False)


# A run and its moments


SHOWN = ["silence", "silence", "angry", "angry", "angry", "sad"]
RUNS = [(0.0, 0.08, "silence"), (0.08, 0.2, "angry"), (0.2, 0.24, "sad")]


@pytest.mark.parametrize(
    ("name", "read"), [("audacity", audacity_of), ("srt", srt_of), ("vtt", vtt_of)]
)
def test_a_run_begins_a_timestep_before_its_first_time(name, read):
    assert read(written(name, session(*SHOWN))) == RUNS


def test_praat_finds_the_same_runs(tmp_path):
    duration_s, tiers = textgrid_of(written("textgrid", session(*SHOWN)), tmp_path)
    assert duration_s == 0.24
    assert tiers == {"label": RUNS, "gap": [(0.0, 0.24, "")], "mark": []}


@pytest.mark.parametrize("shown", [[], ["angry"], SHOWN])
@pytest.mark.parametrize("tail_s", [0.0, 0.000_01, 0.039, 3.0])
def test_intervals_cover_the_session_without_hole_or_overlap(tmp_path, shown, tail_s):
    told_s = 0.04 * len(shown) + tail_s
    text = written("textgrid", session(*shown, duration_s=told_s))
    duration_s, tiers = textgrid_of(text, tmp_path)
    assert duration_s == pytest.approx(told_s or 0.04)
    assert_tiled(tiers["label"], duration_s)
    assert_tiled(tiers["gap"], duration_s)
    assert [text for _, _, text in tiers["label"] if text] == list(dict.fromkeys(shown))


def test_a_last_timestep_may_end_within_a_sample_beyond_the_duration(tmp_path):
    text = written("textgrid", session("angry", duration_s=0.04 - 1 / 44_100))
    assert textgrid_of(text, tmp_path)[1]["label"] == [(0.0, 0.04, "angry")]


def test_skipped_audio_has_no_label(tmp_path):
    """8 s are lost after 80 ms; 3 s are replaced by silence and 5 s skipped."""
    events = [
        started(PLAIN),
        Gap(0.08, 128_000, "held up"),
        *(estimated(time_s, "sad", PLAIN) for time_s in (0.04, 0.08, 5.12, 5.16)),
        estimated(5.2, "angry", PLAIN),
        ended(8.1, PLAIN),
    ]
    duration_s, tiers = textgrid_of(written("textgrid", events), tmp_path)
    assert tiers["label"] == [
        (0.0, 0.08, "sad"), (0.08, 5.08, ""), (5.08, 5.16, "sad"),
        (5.16, 5.2, "angry"), (5.2, 8.1, ""),
    ]  # fmt: skip
    assert tiers["gap"] == [(0.0, 0.08, ""), (0.08, 8.08, "held up"), (8.08, 8.1, "")]
    assert_tiled(tiers["label"], duration_s)
    runs = [(0.0, 0.08, "sad"), (5.08, 5.16, "sad"), (5.16, 5.2, "angry")]
    assert audacity_of(written("audacity", events)) == [
        runs[0], (0.08, 8.08, "gap: held up"), *runs[1:],
    ]  # fmt: skip
    assert srt_of(written("srt", events)) == vtt_of(written("vtt", events)) == runs


@pytest.mark.parametrize("slip_s", [-0.015, 0.015])
def test_less_than_half_a_timestep_is_not_a_hole(tmp_path, slip_s):
    second_s = round(0.08 + slip_s, 3)
    events = [
        started(PLAIN),
        estimated(0.04, "sad", PLAIN),
        estimated(second_s, "angry", PLAIN),
        ended(second_s, PLAIN),
    ]
    _, tiers = textgrid_of(written("textgrid", events), tmp_path)
    assert tiers["label"] == [(0.0, 0.04, "sad"), (0.04, second_s, "angry")]


def test_overlapping_gaps_become_consecutive(tmp_path):
    gaps = [
        (0.05, Gap(0.05, 1_600, "one")),
        (0.1, Gap(0.1, 1_600, "two")),
        (0.16, Gap(0.16, 160, "within")),
    ]
    text = written("textgrid", session(*["sad"] * 6, extra=gaps))
    duration_s, tiers = textgrid_of(text, tmp_path)
    assert_tiled(tiers["gap"], duration_s)
    assert tiers["gap"][1:3] == [(0.05, 0.15, "one"), (0.15, 0.2, "two")]


def test_marks_are_points(tmp_path):
    marks = [(0.09, Marked(0.08)), (0.2, Marked(0.12))]
    events = session(*SHOWN, extra=marks)
    _, tiers = textgrid_of(written("textgrid", events), tmp_path)
    assert tiers["mark"] == [(0.08, "mark"), (0.12, "mark")]
    points = [one for one in audacity_of(written("audacity", events)) if one[2] == "mark"]
    assert points == [(0.08, 0.08, "mark"), (0.12, 0.12, "mark")]
    assert srt_of(written("srt", events)) == RUNS


@pytest.mark.parametrize(("name", "read"), [("srt", srt_of), ("vtt", vtt_of)])
def test_hours_do_not_end_at_a_day(name, read):
    late = [started(PLAIN), estimated(360_000.1237, "sad", PLAIN), ended(360_001.0, PLAIN)]
    assert read(written(name, late)) == [(360_000.084, 360_000.124, "sad")]


# Labels of other people's models


def odd_session():
    return session(*ODD, labels=ODD)


def test_odd_labels_stay_fields_of_a_row():
    rows = rows_of(written("csv", odd_session()))
    assert [row["label"] for row in rows] == list(ODD)
    assert list(rows[0]) == ["time", "label", "speech", "latency_ms", *(f"p_{o}" for o in ODD)]


@pytest.mark.parametrize(
    ("name", "read"), [("audacity", audacity_of), ("srt", srt_of), ("vtt", vtt_of)]
)
def test_odd_labels_break_no_line(name, read):
    found = read(written(name, odd_session()))
    assert len(found) == len(ODD)
    assert [text for _, _, text in found][:2] == ['quo"ted, comma', "tab\\there"]
    assert not any("\n" in text or "\t" in text for _, _, text in found)


def test_praat_reads_odd_labels(tmp_path):
    text = written("textgrid", odd_session())
    found = [label for _, _, label in textgrid_of(text, tmp_path)[1]["label"]]
    assert found[:2] == ['quo"ted, comma', "tab\\there"]
    assert found[3:] == list(ODD[3:])
    assert len(found) == len(ODD)


def test_another_reader_of_textgrids_agrees(tmp_path):
    textgrid = pytest.importorskip("textgrid")
    path = tmp_path / "x.TextGrid"
    path.write_text(written("textgrid", session(*SHOWN)), encoding="utf-8")
    grid = textgrid.TextGrid.fromFile(str(path))
    label, _, _ = grid.tiers
    assert [(i.minTime, i.maxTime, i.mark) for i in label] == RUNS


def test_a_label_that_looks_like_a_cue_time_is_defused():
    times = "00:01 --> 00:02"
    assert written("vtt", session(times, labels=(times, "x"))).count("-->") == 1
    assert written("srt", session(times, labels=(times, "x"))).count("-->") == 1


# Tables


def test_a_row_says_what_the_estimate_said(shipped, speech):
    table, lines = io.StringIO(), io.StringIO()
    sinks = [open_timeline("csv", table, False), JsonLines(lines, False)]
    run_session(
        Lossy(speech), shipped, sinks, clock=Pace(50.0), block_ms=100, interrupts=Interrupts()
    )
    estimates = [e for e in map(json.loads, lines.getvalue().splitlines()) if "speech" in e]
    rows = rows_of(table.getvalue())
    assert len(rows) == len(estimates)
    for row, estimate in zip(rows, estimates, strict=True):
        assert row["label"] == estimate["label"]
        assert float(row["time"]) == estimate["time"]
        assert float(row["speech"]) == estimate["speech"]
        late = estimate["latency_ms"]
        assert row["latency_ms"] == ("" if late is None else str(late))
        found = {name[2:]: float(p) for name, p in row.items() if name.startswith("p_")}
        assert found == estimate["probabilities"]


def test_rows_end_as_rfc_4180_has_it():
    lines = written("csv", session("sad", "angry")).split("\r\n")
    assert len(lines) == 4
    assert lines[-1] == ""
    assert not any("\r" in line or "\n" in line for line in lines)


def test_a_table_names_the_file_where_there_are_several():
    rows = rows_of(written("csv", session("sad"), session("angry", "sad")))
    assert [row["file"] for row in rows] == ["talk.wav"] * 3
    assert [float(row["time"]) for row in rows] == pytest.approx([0.04, 0.04, 0.08])


def test_sessions_that_do_not_fit_one_table_are_refused_before_the_file_is_touched(tmp_path):
    lines, table = io.StringIO(), tmp_path / "table.csv"
    writer = JsonLines(lines, True)
    for event in (*session("sad"), *session("sad", labels=("sad", "calm"))):
        writer.take(replace(event, summary=SHARES) if isinstance(event, SessionEnded) else event)
    path = tmp_path / "session.jsonl"
    path.write_text(lines.getvalue())
    table.write_text("mine")
    with pytest.raises(SerLiveError, match="other labels"), OutputFile(table, force=True) as out:
        convert(path, "csv", out, pytest.fail)
    assert table.read_text() == "mine"


@pytest.mark.parametrize("name", [name for name in TIMELINES if name != "csv"])
def test_other_formats_hold_one_recording(name):
    with pytest.raises(SerLiveError, match=f"{name} holds one recording"):
        written(name, session("sad"), session("sad"))


# Live, and converted


@pytest.fixture
def recorded(shipped, speech, tmp_path):
    """A session with a loss, and the output of each writer while it ran."""
    outs = {name: io.StringIO() for name in ("jsonl", *TIMELINES)}
    sinks = [open_timeline(name, outs[name], False) for name in TIMELINES]
    sinks.append(JsonLines(outs["jsonl"], False))
    run_session(
        Lossy(speech), shipped, sinks, clock=Pace(None), block_ms=100, interrupts=Interrupts()
    )
    path = tmp_path / "session.jsonl"
    path.write_text(outs["jsonl"].getvalue())
    return path, {name: out.getvalue() for name, out in outs.items()}


def test_a_converted_session_equals_the_live_output(recorded):
    path, live = recorded
    for name in TIMELINES:
        out = io.StringIO()
        convert(path, name, out, pytest.fail)
        assert out.getvalue() == live[name], name


def test_a_killed_session_is_converted_as_far_as_it_goes(recorded, tmp_path):
    path, live = recorded
    path.write_text("\n".join(live["jsonl"].splitlines()[:30]) + "\n")
    out = io.StringIO()
    convert(path, "textgrid", out, pytest.fail)
    duration_s, tiers = textgrid_of(out.getvalue(), tmp_path)
    assert_tiled(tiers["label"], duration_s)
    assert duration_s == 3.0  # the gap ends there
    rows = io.StringIO()
    convert(path, "csv", rows, pytest.fail)
    assert live["csv"].startswith(rows.getvalue())


@pytest.mark.parametrize("error", [Interrupted(2), RunFailure("gone"), SerLiveError("damaged")])
def test_a_textgrid_is_whole_whatever_ends_the_session(shipped, speech, tmp_path, error):
    out = io.StringIO()
    with pytest.raises(type(error)):
        run_session(
            Array(speech, fail_at=20, error=error),
            shipped,
            [open_timeline("textgrid", out, False)],
            clock=Pace(None),
            block_ms=100,
            interrupts=Interrupts(),
        )
    duration_s, tiers = textgrid_of(out.getvalue(), tmp_path)
    assert duration_s == 2.0
    assert_tiled(tiers["label"], duration_s)


@pytest.mark.parametrize("name", TIMELINES)
def test_a_session_without_audio_still_makes_a_file(name, tmp_path):
    path = tmp_path / "x"
    with OutputFile(path, force=False) as out:
        writer = open_timeline(name, out, False)
        for event in session():
            writer.take(event)
    assert path.is_file()


def test_states_form_runs_as_emotions_do():
    assert [text for _, _, text in srt_of(written("srt", session(*STATES)))] == list(STATES)


def ten_seconds(probabilities, shares, overall=None):
    overall = overall or max(probabilities, key=probabilities.get)
    return SessionEnded(10.0, 250, shares, overall, probabilities)


@pytest.mark.parametrize(
    ("probabilities", "summary_", "text"),
    [
        (
            {"a": 0.8, "b": 0.2},
            {"a": 0.3, "silence": 0.7},
            "a overall (shown: a 100% of the 3.0 s not silent)",
        ),
        (
            {"a": 0.52, "b": 0.48},
            {"a": 0.4, "b": 0.4, "uncertain": 0.2, "silence": 0.0},
            "mixed overall, a and b (shown: a 40%, b 40%, uncertain 20% of the 10.0 s not silent)",
        ),
        (
            {"a": 0.7, "b": 0.3},
            {"a": 0.0, "uncertain": 0.2, "silence": 0.8},
            "no clear emotion overall, a likeliest (shown: uncertain 100% of the 2.0 s not silent)",
        ),
    ],
)
def test_the_verdict_for_people_uses_speech_and_the_labels_shown(probabilities, summary_, text):
    assert summary(ten_seconds(probabilities, summary_)) == f"10.00 s: {text}"


def test_without_speech_there_is_no_verdict_for_people():
    even = {"a": 0.5, "b": 0.5}
    assert summary(ten_seconds(even, {"silence": 1.0}, "silence")) == "10.00 s: no speech overall"
    little = summary(ten_seconds(even, {"silence": 0.98, "warming up": 0.02}, "silence"))
    assert little.startswith(
        "10.00 s: too little speech for a verdict overall (shown: warming up 100% of the 0.2 s"
    )


def test_a_new_file_that_got_nothing_before_an_error_is_not_in_the_way_of_the_next_try(tmp_path):
    path = tmp_path / "x.csv"
    for content in ("", "time"):
        with pytest.raises(RunFailure), OutputFile(path, False) as out:
            out.write(content)
            raise RunFailure("the disk is full")
    assert path.read_text() == "time"
    with pytest.raises(RunFailure), OutputFile(path, False, appends=True) as out:
        path.write_text("")
        out.write("")
        raise RunFailure("the disk is full")
    assert path.exists()
