"""The document describes the server, and the server keeps to the document."""

from __future__ import annotations

from tests.serve.document import DOCUMENT, checker

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.recognition.metadata import LARGEST_VOICE
from streamer.recognition.prior import PRIORS
from streamer.serve import protocol
from streamer.serve.protocol import Code, Ending, Refused, read_end, read_start
from streamer.signal import RATES
from streamer.sound.pcm import ENCODINGS
from tests.helpers.places import CLIPS
from tests.serve.serving import END, converse, get, pcm, start

SCHEMAS = DOCUMENT["components"]["schemas"]


def test_the_server_hands_its_document_out(server):
    status, text = get(f"{server.http}/v1/asyncapi.json")
    assert status == 200
    assert json.loads(text) == DOCUMENT


def test_all_that_the_server_says_is_in_the_document(server, speech):
    samples, rate = pcm(CLIPS[0])
    stereo = samples.repeat(2, axis=1)
    stereo[:, 1] *= -1
    talks = [
        converse(server.stream, start(rate), samples.tobytes(), END),
        converse(server.stream, start(rate, channels=2), stereo.tobytes(), END),
        converse(
            server.stream, start(rate, channels=2, channels_wanted="split"), stereo.tobytes(), END
        ),
        converse(server.stream, start(rate, sample_format="f32le"), b"\xff" * 999),
        converse(server.stream, start(sample_format="f32le", enrols=True), speech.tobytes(), END),
    ]
    messages = [message for talk in talks for message in talk.messages]
    for message in messages:
        checker(message["type"]).validate(message)
    described = DOCUMENT["operations"]["tell"]["messages"]
    assert {message["type"] for message in messages} == {
        one["$ref"].rsplit("/", 1)[1] for one in described
    }


def test_the_closing_codes_are_in_the_document():
    for code in Code:
        assert str(int(code)) in DOCUMENT["info"]["description"]


def test_names_and_ranges_are_those_of_the_document():
    fields = SCHEMAS["start"]["properties"]
    assert fields["sample_format"]["enum"] == list(ENCODINGS)
    assert fields["prior"]["enum"] == list(PRIORS)
    assert (fields["sample_rate"]["minimum"], fields["sample_rate"]["maximum"]) == (
        RATES[0],
        RATES[-1],
    )


#: What ser-live enrol may write, and what it does not.
PROFILE = {
    "type": "profile",
    "schema": 1,
    "model": "test",
    "digest": "0" * 64,
    "made": "2026-01-02T03:04:05+00:00",
    "timesteps": 425.25,
    "mean": [0.5, -1, 1e6],
}
_OTHERS = [
    {"type": "session"}, {"schema": 2}, {"model": ""}, {"model": "m" * 101}, {"digest": "0" * 63},
    {"digest": "g" * 64}, {"made": 2026}, {"timesteps": 0}, {"timesteps": True}, {"mean": []},
    {"timesteps": 90_001}, {"mean": [1e7]}, {"mean": [None]}, {"mean": [0] * 4_097}, {"more": 1},
]  # fmt: skip
_PROFILES = st.sampled_from([PROFILE, *(PROFILE | one for one in _OTHERS), {}])
_VALUES = st.one_of(
    _PROFILES,
    st.none(),
    st.booleans(),
    st.integers(-1, 100_000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["s16le", "f32le", "mix", "split", "everyday", "balanced", "x", "", 16_000]),
)
_FIELDS = st.dictionaries(st.sampled_from([*SCHEMAS["start"]["properties"], "more"]), _VALUES)
_STARTS = st.builds(
    lambda fields, profile: (
        {"type": "start", "sample_rate": 16_000, "channels": 64}
        | ({} if profile is None else {"profile": profile})
        | fields
    ),
    _FIELDS,
    st.none() | _PROFILES,
)


@given(_STARTS)
def test_the_server_takes_the_starts_that_the_document_allows_and_no_others(values):
    is_allowed = checker("start").is_valid(values)
    # JSON Schema takes 16000.0 for whole; the document cannot say that a number is a channel.
    is_written_whole = not any(isinstance(value, float) for value in values.values())
    try:
        read_start(json.dumps(values))
    except Refused as refused:
        assert refused.ending.code in (Code.POLICY, Code.UNSUPPORTED)
        wanted, channels = values.get("channels_wanted"), values.get("channels")
        beyond = isinstance(wanted, int) and isinstance(channels, int) and wanted > channels
        assert not is_allowed or not is_written_whole or beyond
    else:
        assert is_allowed


def test_the_longest_start_is_that_of_the_document():
    assert f"may have {protocol.LONGEST_START} characters" in SCHEMAS["profile"]["description"]
    value = SCHEMAS["profile"]["properties"]["mean"]
    assert value["maxItems"] == LARGEST_VOICE
    whole = PROFILE | {"mean": [-0.123456789] * LARGEST_VOICE}
    assert len(json.dumps(start(profile=whole))) < protocol.LONGEST_START
    assert read_start(start(profile=whole)).profile.to_values() == whole


@given(st.text(max_size=200))
def test_any_text_is_a_start_or_refused(text):
    for read in (read_start, read_end):
        with pytest.raises(Refused):
            read(text)


@given(st.text(max_size=300))
def test_a_reason_fits_into_a_closing_frame(text):
    ending = Ending(Code.POLICY, text)
    assert len(ending.short_reason.encode()) <= 123
    assert text.startswith(ending.short_reason)
    assert json.loads(ending.message)["message"] == text
