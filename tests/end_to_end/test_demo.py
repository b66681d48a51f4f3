"""The shipped recording, for the first minutes."""

from __future__ import annotations

import re

from streamer.bundled import bundled
from streamer.commands.demo.parts import Guide
from streamer.commands.demo.run import WHAT_NEXT
from streamer.commands.parser import parse
from tests.helpers.command import EMOTIONS, lines, replay, ser_live
from tests.helpers.sessions import estimated


def test_it_hears_what_a_replay_of_the_same_file_hears():
    demo = ser_live("demo", "--speed", "max", "--format", "jsonl")
    assert demo.returncode == 0
    (first, *heard), (other, *expected) = lines(demo), lines(replay(bundled("demo.flac")))
    assert len(heard) > 200
    assert heard == expected
    assert first | {"started": ""} == other | {"started": ""}


def test_every_option_of_replay_has_a_value():
    assert set(vars(parse(["replay", "x.wav"]))) == set(vars(parse(["demo"])))


def test_what_was_shown_is_said_beside_what_was_acted():
    said = []
    guide = Guide(said.append)
    labels = ["silence", *["sad"] * 3, "neutral", "uncertain"]
    for number, label in enumerate(labels, 1):
        guide.take(estimated(0.04 * number, label, EMOTIONS))
    guide.take(estimated(3.08, "neutral", EMOTIONS))
    assert guide.lines() == [
        "acted neutral, shown as sad 60%, neutral 20%, uncertain 20%",
        "acted angry, shown as neutral 100%",
    ]
    assert [line.split(";")[0].split()[-1] for line in said] == ["neutral", "angry"]


def test_a_program_is_told_nothing_and_a_person_what_to_try_next(terminal):
    assert WHAT_NEXT[0] not in ser_live("demo", "--speed", "max").stderr.decode()
    seen = terminal("demo", "--speed", "max", "--format", "changes", size=(200, 50),
                    shows_errors=True)  # fmt: skip
    assert seen.finish()[0] == 0
    for line in WHAT_NEXT:
        assert f"ser-live: {line}" in seen.text
    # What follows is counted, not written down: the verdict of a part may be wrong.
    for acted in ("neutral", "angry", "sad", "happy"):
        assert re.search(f"ser-live: acted {acted}, shown as [a-z]+ \\d+%", seen.text)


def test_who_leaves_the_screen_early_is_told_too(terminal):
    seen = terminal("demo", size=(200, 50), shows_errors=True)
    seen.wait_for("gaps 0", "the actor now says the sentence neutral")
    seen.press("q")
    assert seen.finish()[0] == 0
    assert WHAT_NEXT[1] in seen.stays
    assert "the actor now" not in seen.stays
