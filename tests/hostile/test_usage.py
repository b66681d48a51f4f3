"""Any command line is accepted, or refused in one line before any work."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.commands import COMMANDS
from streamer.commands.parser import parse
from streamer.commands.program import main
from streamer.errors import SerLiveError, told
from streamer.session.interrupts import Interrupts
from streamer.sound.pcm import ENCODINGS, RawPcm
from tests.helpers.places import CLIPS

NUMBERS = ["0", "-1", "nan", "inf", "1e400", "-1e400", str(2**31), str(2**63), "9" * 5_000, "0x10"]
NUMBERS += ["", " ", "\ud800", "\x1b[2J", "a\nb"]
OPTIONS = ["--rate", "--channels", "--sample-format", "--block-ms", "--speed", "--duration"]
OPTIONS += ["--format", "--output", "--record", "--device", "--model", "--at", "--size", "--force"]
OPTIONS += ["--seconds", "--streams", "--loopback", "--source", "--json", "--plot", "--help", "--"]
OPTIONS += ["--prior", "--profile", "--no-adaptation"]
words = st.one_of(
    st.sampled_from([*COMMANDS, *OPTIONS, *NUMBERS, "-", "x.wav", "--rate=", "--rat", "-h"]),
    st.text(max_size=8),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(words, max_size=8))
def test_any_arguments_are_accepted_or_refused_in_one_line(arguments):
    try:
        options = parse(arguments)
    except SerLiveError as error:
        assert error.exit_code == 2
        assert told(error).isprintable()
    except SystemExit as stop:  # --help
        assert not stop.code
    else:
        assert options.command in COMMANDS


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", "-", "--rate", None],
        ["replay", "-", "--rate", "16000", "--channels", None],
        ["replay", "-", "--rate", "16000", "--sample-format", None],
        ["replay", "x.wav", "--block-ms", None],
        ["replay", "x.wav", "--speed", None],
        ["picture", CLIPS[0], "--size", None],
        ["latency", CLIPS[0], "--seconds", None],
        ["latency", CLIPS[0], "--streams", None],
        ["latency", "--loopback", None],
        ["info", "--model", None],
    ],
    ids=lambda arguments: " ".join(map(str, arguments[::2])).replace(str(CLIPS[0]), ""),
)
def test_impossible_values_are_one_line_and_exit_2(arguments, value, capfd, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    said = [value if one is None else str(one) for one in arguments]
    assert main(said, Interrupts()) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("ser-live: ")
    assert err[:-1].isprintable()


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=400),
    rate=st.sampled_from([1_000, 16_000, 768_000]),
    channels=st.sampled_from([1, 2, 64]),
    encoding=st.sampled_from(sorted(ENCODINGS)),
    block_ms=st.sampled_from([1, 10, 10_000]),
)
def test_any_standard_input_is_audio_or_refused_in_one_line(
    data, rate, channels, encoding, block_ms
):
    """Samples before the first that is not audio are still delivered."""
    heard = []
    try:
        for block in RawPcm(io.BytesIO(data), rate, channels, encoding).blocks(block_ms):
            heard.append(block)
    except SerLiveError as error:
        assert error.exit_code == 2
        assert told(error).isprintable()
    else:
        assert heard
    assert all(np.isfinite(block).all() and len(block) for block in heard)
