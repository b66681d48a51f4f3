"""A session in a sentence and in a table: numbers are right, and every share names its whole."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.commands.report.facts import facts_of, longest_stretch
from streamer.commands.report.page import make_page
from streamer.commands.report.sentence import duration, percents, seconds, sentence, times_of
from streamer.formats.lines import summary
from streamer.formats.reader import read_sessions
from streamer.percentages import whole_percents
from streamer.session.events import Gap
from tests.helpers.command import replay
from tests.helpers.places import CLIPS, ROOT
from tests.helpers.recorded import LABELS, labelled, recorded


def told(*stretches, **fields):
    session = labelled(*stretches, **fields)
    return sentence(session, facts_of(session))


def test_shares_of_emotions_are_shares_of_speech_and_silence_is_a_share_of_time():
    session = labelled(("silence", 500), ("neutral", 350), ("angry", 150), overall="neutral")
    facts = facts_of(session)
    assert facts.shares["neutral"] == pytest.approx(0.7)
    assert facts.shares["angry"] == pytest.approx(0.3)
    assert "silence" not in facts.shares
    assert (facts.speech, facts.silence) == pytest.approx((0.5, 0.5))
    assert sentence(session, facts) == (
        "Over 40 s, 50% of it speech: mostly neutral (70% of speech); "
        "the longest other stretch: angry, from 34 to 40 s."
    )


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    path = tmp_path_factory.mktemp("sessions") / "demo.jsonl"
    path.write_bytes(replay(ROOT / "assets" / "demo.flac", *CLIPS).stdout)
    return read_sessions(path, print)


def test_the_numbers_are_those_of_the_summary_line(replayed):
    for session in replayed:
        said, facts = summary(session.end), facts_of(session)
        shares = {label: int(share) for label, share in re.findall(r"([a-z ]+) (\d+)%", said)}
        told_shares = {f" {label}" if f" {label}" in shares else label for label in facts.shares}
        assert set(shares) <= told_shares, said
        assert sum(shares.values()) == 100
        for label, share in facts.shares.items():  # rounded up or down, so that they add up
            of_command = shares.get(f" {label}", shares.get(label, 0))
            assert 100 * share == pytest.approx(of_command, abs=0.99), (said, label)
        assert facts.verdict in said


def test_the_verdict_is_the_end_lines_even_if_another_emotion_was_shown_longer():
    assert told(("angry", 40), ("neutral", 60), overall="angry").startswith(
        "Over 4 s, 100% of it speech: angry overall (40% of speech), although neutral was shown "
        "longer (60%)"
    )


def test_a_verdict_without_a_leader_is_mixed_and_no_emotion_is_called_the_main_one():
    chances = {"angry": 0.32, "happy": 0.3, "neutral": 0.2, "sad": 0.18}
    stretches = (("angry", 50), ("happy", 100), ("sad", 50))
    assert told(*stretches, overall="angry", probabilities=chances) == (
        "Over 8 s, 100% of it speech: mixed overall, angry and happy (25% and 50% of speech); "
        "the longest stretch: happy, from 2 to 6 s."
    )


@pytest.mark.parametrize(
    ("stretches", "overall", "expected"),
    [
        ([("silence", 200)], "silence", "Over 8 s, no speech."),
        (
            [("silence", 194), ("warming up", 6)],
            "silence",
            "Over 8 s, 3% of it speech: too little speech for a verdict.",
        ),
        (
            [("silence", 100), ("uncertain", 100)],
            "sad",
            "Over 8 s, 50% of it speech: no clear emotion overall, sad likeliest; "
            "uncertain for 100% of speech.",
        ),
        (
            [("happy", 30), ("silence", 70)],
            None,
            "Cut short after 4 s, so without a verdict; 30% of it speech: "
            "mostly happy (100% of speech).",
        ),
        (
            [("silence", 100)],
            None,
            "Cut short after 4 s, no speech.",
        ),
    ],
)
def test_a_session_without_a_verdict_claims_none(stretches, overall, expected):
    assert told(*stretches, overall=overall) == expected


def test_losses_and_latencies_are_reported_if_there_are_any():
    plain = [("angry", 100)]
    assert "lost" not in told(*plain, overall="angry")
    assert "late" not in told(*plain, overall="angry")
    gaps = (Gap(1.0, 8_000, "overflow"), Gap(2.0, 16_000, "overflow"))
    latency_ms = np.r_[np.full(94, 181.0), np.full(6, 190.0)]
    said = told(*plain, overall="angry", gaps=gaps, latency_ms=latency_ms)
    assert said.endswith("; 1.5 s lost in 2 gaps; answers came 181 ms late (p95 190).")


def test_a_stretch_bridges_pauses_but_no_other_emotion():
    pause = ("silence", 50)
    held = labelled(("angry", 50), pause, ("angry", 50), ("sad", 30), ("angry", 60))
    found = longest_stretch(held)
    assert (found.label, found.start_s, found.end_s) == ("angry", 0.0, 6.0)
    apart = labelled(("angry", 50), ("silence", 100), ("angry", 60))
    found = longest_stretch(apart)
    assert (found.start_s, found.end_s) == pytest.approx((6.0, 8.4))
    besides = longest_stretch(held, ["angry"])
    assert (besides.label, besides.start_s) == ("sad", pytest.approx(6.0))
    assert longest_stretch(labelled(("silence", 50))) is None


@pytest.mark.parametrize("timesteps", [1, 125, 7500])
def test_within_a_stretch_no_other_emotion_was_shown(timesteps):
    session = recorded(timesteps)
    for besides in ([], ["angry"], list(LABELS)):
        found = longest_stretch(session, besides)
        if found is None:
            continue
        within = (session.times > found.start_s + 1e-6) & (session.times < found.end_s + 1e-6)
        shown = {session.names[code] for code in session.codes[within]}
        assert shown & set(LABELS) == {found.label}
        assert found.label not in besides


def test_lengths_are_written_in_words():
    assert duration(11.06) == "11.1 s"
    assert duration(59.97) == "1 min"
    assert duration(724.47) == "12 min 4 s"
    assert duration(3599.7) == "1 h"
    assert duration(7385.0) == "2 h 3 min"
    assert seconds(0.013) == "0.013 s"
    assert seconds(3.21) == "3.2 s"


def test_small_shares_are_not_rounded_to_nothing():
    assert percents({"angry": 1e-6, "happy": 0.0, "sad": 1.0 - 1e-6}) == {
        "angry": "<1%",
        "happy": "0%",
        "sad": ">99%",
    }
    assert percents({"angry": 0.005, "sad": 0.995})["angry"] in ("<1%", "1%")
    assert percents({"sad": 1.0}) == {"sad": "100%"}


def test_several_sessions_are_rows_of_one_table():
    first = labelled(("silence", 50), ("neutral", 50), overall="neutral", source="one.wav")
    second = labelled(
        *(("angry", 75), ("uncertain", 25)),
        overall="angry",
        source="two.wav",
        channel=2,
        gaps=(Gap(1.0, 8_000, "overflow"),),
        latency_ms=np.full(100, 181.0),
    )
    columns = make_page([first, second]).columns
    assert {column.name: column.cells for column in columns} == {
        "recording": ("one.wav", "two.wav, channel 2"),
        "duration": ("4 s", "4 s"),
        "speech": ("50%", "100%"),
        "verdict": ("neutral", "angry"),
        "angry": ("0%", "75%"),
        "happy": ("0%", "0%"),
        "neutral": ("100%", "0%"),
        "sad": ("0%", "0%"),
        "uncertain": ("0%", "25%"),
        "lost in gaps": ("", "0.5 s in 1"),
        "late, p50/p95": ("", "181/181 ms"),
    }


def test_with_very_many_emotions_only_those_shown_have_columns():
    names = tuple(f"emotion {number}" for number in range(40))
    sessions = [recorded(10, labels=names, codes=np.full(10, 39)) for _ in range(2)]
    columns = [column.name for column in make_page(sessions).columns]
    assert "emotion 39" in columns
    assert sum(name.startswith("emotion") for name in columns) == 12


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=12))
def test_shares_of_one_whole_add_up_to_it(counts):
    """Thirds are 34, 33 and 33 %, and no share is off by 1 % or more."""
    total = sum(counts)
    shares = [count / max(total, 1) for count in counts]
    found = whole_percents(shares)
    assert sum(found) == (100 if total else 0)
    assert all(abs(whole - 100 * share) < 1 for whole, share in zip(found, shares, strict=True))


def test_the_shares_of_a_report_add_up():
    assert percents({"angry": 1 / 3, "happy": 1 / 3, "sad": 1 / 3}) == {
        "angry": "34%",
        "happy": "33%",
        "sad": "33%",
    }
    assert percents({"angry": 0.996, "sad": 0.004}) == {"angry": ">99%", "sad": "<1%"}
    for speech in range(2, 199):
        session = labelled(("angry", speech), ("silence", 200 - speech), overall="angry")
        times = times_of(facts_of(session))
        assert sum(int(one[:-1]) for one in times.values()) == 100
