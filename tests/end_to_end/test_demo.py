"""The shipped recording, for the first minutes."""

from __future__ import annotations

from streamer.bundled import bundled
from streamer.commands.demo.run import WHAT_NEXT
from streamer.commands.parser import parse
from tests.helpers.command import lines, replay, ser_live


def test_it_hears_what_a_replay_of_the_same_file_hears():
    demo = ser_live("demo", "--speed", "max", "--format", "jsonl")
    assert demo.returncode == 0
    (first, *heard), (other, *expected) = lines(demo), lines(replay(bundled("demo.flac")))
    assert len(heard) > 200
    assert heard == expected
    assert first | {"started": ""} == other | {"started": ""}


def test_every_option_of_replay_has_a_value():
    assert set(vars(parse(["replay", "x.wav"]))) == set(vars(parse(["demo"])))


def test_a_program_is_told_nothing_and_a_person_what_to_try_next(terminal):
    assert WHAT_NEXT[0] not in ser_live("demo", "--speed", "max").stderr.decode()
    seen = terminal("demo", "--speed", "max", "--format", "changes", size=(200, 50),
                    shows_errors=True)  # fmt: skip
    assert seen.finish()[0] == 0
    for line in WHAT_NEXT:
        assert f"ser-live: {line}" in seen.text


def test_who_leaves_the_screen_early_is_told_too(terminal):
    seen = terminal("demo", size=(200, 50), shows_errors=True)
    seen.wait_for("gaps 0")
    seen.press("q")
    assert seen.finish()[0] == 0
    assert WHAT_NEXT[1] in seen.stays
