"""A voice that a client knows: its profile goes with the start, and is nobody else's."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import asyncio
import json

import numpy as np
import pytest
import soundfile

from streamer.recognition.profile import Profile
from streamer.recognition.recognizer import Recognizer
from streamer.serve.config import ServerConfig
from tests.helpers.command import ser_live
from tests.helpers.places import CLIPS
from tests.serve.document import checker
from tests.serve.serving import (
    END,
    Command,
    InThread,
    assert_same,
    converse,
    cut,
    get,
    heard_by_client,
    pcm,
    start,
    talk,
)

SAD = CLIPS[3]

#: Between many timesteps at once and one, of a network with random weights.
MOST = 1e-5


@pytest.fixture(scope="module")
def profile(knowing_recognizer, speech):
    stream = knowing_recognizer.stream()
    stream.accept(speech)
    return stream.profile()


@pytest.fixture(scope="module")
def voices(knowing_recognizer):
    """A server whose model knows voices."""
    with InThread(ServerConfig(port=0), knowing_recognizer) as running:
        yield running


@pytest.fixture(scope="module")
def replayed(knowing, profile, tmp_path_factory):
    """What ``replay`` says of a clip, by what is asked of it."""
    path = tmp_path_factory.mktemp("voice") / "me.profile"
    profile.save(path)
    options = {"stream": [], "off": ["--no-adaptation"], "profile": ["--profile", path]}
    options["fixed"] = [*options["profile"], "--no-adaptation"]
    plain = ("replay", SAD, "--speed", "max", "--format", "jsonl", "--model", knowing.path)
    return {
        name: [json.loads(line) for line in ser_live(*plain, *more).stdout.splitlines()]
        for name, more in options.items()
    }


def starts(profile, rate=16_000):
    known = {"profile": profile.to_values()}
    return {
        "stream": start(rate),
        "off": start(rate, adapts=False),
        "profile": start(rate, **known),
        "fixed": start(rate, adapts=False, **known),
    }


def test_clients_of_all_kinds_at_once_hear_what_replay_writes(voices, profile, replayed):
    samples, rate = pcm(SAD)

    async def client(name, seed):
        blocks = cut(samples.tobytes(), np.random.default_rng(seed))
        return name, await talk(voices.stream, [starts(profile, rate)[name], *blocks, END])

    async def all_of_them():
        return await asyncio.gather(*(client(name, i) for i in range(5) for name in replayed))

    for name, heard in asyncio.run(all_of_them()):
        assert heard.code == 1000
        assert heard.messages[0]["adaptation"] == replayed[name][0]["adaptation"]
        ours, theirs = (
            np.array([[*one["probabilities"].values()] for one in many])
            for many in (heard.estimates, replayed[name][1:-1])
        )
        assert np.abs(ours - theirs).max() < 1e-5
        checker("session").validate(heard.messages[0])
    by_name = [np.array([[*one["probabilities"].values()] for one in replayed[name][1:-1]])
               for name in replayed]  # fmt: skip
    assert min(np.abs(by_name[0] - other).max() for other in by_name[1:]) > 1e-3


def test_the_python_client_gives_a_profile(voices, profile, replayed):
    samples, rate = soundfile.read(SAD, dtype="float32")
    for name, options in (
        ("profile", {"profile": profile}),
        ("off", {"adapts": False}),
        ("stream", {}),
    ):
        messages = heard_by_client(voices.ws, [samples], sample_rate=rate, **options)
        assert messages[0]["adaptation"] == replayed[name][0]["adaptation"]
        assert_same(messages[1:-1], replayed[name][1:-1], MOST)


def test_a_profile_of_the_shipped_model_at_the_server_is_what_replay_makes_of_it(
    server, shipped, speech, tmp_path
):
    """To the last digit that is written."""
    known, path = shipped.enrol(speech), tmp_path / "me.profile"
    known.save(path)
    samples, rate = pcm(SAD)
    plain = ("replay", SAD, "--speed", "max", "--format", "jsonl")
    for options, fields in ((["--no-adaptation"], {"adapts": False}), ([], {})):
        result = ser_live(*plain, "--profile", path, *options)
        expected = [json.loads(line) for line in result.stdout.splitlines()]
        blocks = cut(samples.tobytes(), np.random.default_rng(0))
        first = start(rate, profile=known.to_values(), **fields)
        heard = converse(server.stream, first, *blocks, END)
        assert heard.messages[0]["adaptation"] == expected[0]["adaptation"]
        assert_same(heard.estimates, expected[1:-1])


def test_a_voice_far_from_the_level_of_its_profile_is_told(server, shipped, speech):
    first = start(sample_format="f32le", profile=shipped.enrol(np.tile(speech, 4)).to_values())
    far = np.float32(0.05) * np.tile(speech, 6)
    heard = converse(
        server.stream, first, *cut(far.tobytes(), np.random.default_rng(1), 40_000), END
    )
    [note] = [one for one in heard.messages if one["type"] == "note"]
    assert "dB softer than in its profile" in note["message"]


def test_a_profile_made_at_the_server_is_that_of_enrol(server, shipped, speech):
    expected = shipped.enrol(speech)
    data, rng = speech.tobytes(), np.random.default_rng(3)
    first = start(sample_format="f32le", enrols=True)
    heard = converse(server.stream, first, *cut(data, rng, 40_000), END)
    assert heard.code == 1000
    assert [one["type"] for one in heard.messages[-2:]] == ["profile", "end"]
    made = Profile.from_values(heard.messages[-2])
    assert (made.model, made.digest) == (expected.model, expected.digest)
    assert made.timesteps == pytest.approx(expected.timesteps, abs=1e-3)
    np.testing.assert_allclose(made.mean, expected.mean, rtol=0, atol=1e-4)
    shipped.check_profile(made)
    [again] = [
        one for one in heard_by_client(server.ws, [speech], enrols=True) if one["type"] == "profile"
    ]
    assert again["timesteps"] == pytest.approx(expected.timesteps, abs=1e-3)


def test_a_profile_takes_speech(server):
    heard = converse(server.stream, start(sample_format="f32le", enrols=True), bytes(400_000), END)
    notes = [one["message"] for one in heard.messages if one["type"] == "note"]
    assert notes == [
        "0.0 s of speech were heard; a profile takes 5 s at least, and 20 s make a good one"
    ]
    assert "profile" not in [one["type"] for one in heard.messages]
    assert heard.code == 1000


def test_a_profile_that_is_made_is_of_one_voice_not_known_before(voices, profile):
    for field, value in (("profile", profile.to_values()), ("adapts", False), ("adapts", True)):
        said = refusal(voices.stream, enrols=True, **{field: value})
        assert said == f"start: enrols makes a profile; leave {field} out"
    said = refusal(voices.stream, enrols=True, channels=2, channels_wanted="split")
    assert said == "start: a profile is of one voice; channels_wanted must be mix or a number"
    assert refusal(voices.stream, enrols="yes") == ("start: enrols must be true or false, is 'yes'")


def refusal(url, **fields):
    heard = converse(url, start(**fields))
    assert heard.code == 1008
    return heard.error


def test_a_profile_of_another_model_is_refused(voices, profile):
    values = profile.to_values()
    assert refusal(voices.stream, profile=values | {"digest": "0" * 64}).startswith(
        "start: profile: it was made with the model test, this is another version of it"
    )
    assert "it has 3 values" in refusal(voices.stream, profile=values | {"mean": [1, 2, 3]})
    split = refusal(voices.stream, profile=values, channels=2, channels_wanted="split")
    assert split == "start: a profile is of one voice; channels_wanted must be mix or a number"
    assert "profile" in refusal(f"{voices.stream}?sample_rate=16000&profile=me")


def test_a_model_that_knows_no_voices_takes_no_profile(export_lively, profile):
    plain = Recognizer.load(export_lively("live").path)
    with InThread(ServerConfig(port=0), plain) as running:
        said = refusal(running.stream, profile=profile.to_values())
        assert (
            said == "start: profile: the model test knows no voices: it makes and takes no profile"
        )
        said = refusal(running.stream, enrols=True)
        assert (
            said == "start: enrols: the model test knows no voices: it makes and takes no profile"
        )
        assert json.loads(get(f"{running.http}/v1/info")[1])["knows_voices"] == []
        heard = converse(running.stream, start(adapts=True), END)
        assert "adaptation" not in heard.messages[0]


def test_an_address_may_say_whether_a_stream_adapts(voices):
    for word, told in (("true", "stream"), ("false", "off")):
        heard = converse(f"{voices.stream}?sample_rate=16000&adapts={word}", END)
        assert heard.messages[0]["adaptation"] == told
    heard = converse(f"{voices.stream}?sample_rate=16000&adapts=1", END)
    assert "adapts must be true or false" in heard.error


def test_the_wildest_profile_harms_nobody_else(voices, profile, replayed):
    """Numbers at the end of all that is taken, in the same batch as a stream of somebody else."""
    samples, rate = pcm(SAD)
    size = len(profile.mean)
    wild = [
        profile.to_values() | {"mean": [sign * 1e6 for sign in signs], "timesteps": timesteps}
        for signs in ([1] * size, [-1] * size, [1, -1] * (size // 2) + [1])
        for timesteps in (1e-30, 1e-300, 90_000)
    ]

    async def all_of_them():
        blocks = list(cut(samples.tobytes(), np.random.default_rng(0)))
        clients = [start(rate, profile=one) for one in wild]
        return await asyncio.gather(
            *(talk(voices.stream, [one, *blocks, END]) for one in [start(rate), *clients])
        )

    heard, *others = asyncio.run(all_of_them())
    assert heard.code == 1000
    assert [one["label"] for one in heard.estimates] == [
        one["label"] for one in replayed["stream"][1:-1]
    ]
    assert {one.code for one in others} == {1000}


def test_a_server_may_be_started_without_adaptation(knowing, replayed):
    samples, rate = pcm(SAD)
    with Command("--no-adaptation", "--model", knowing.path) as running:
        heard = converse(running.stream, start(rate), samples.tobytes(), END)
        assert heard.messages[0]["adaptation"] == "off"
        assert_same(heard.estimates, replayed["off"][1:-1], MOST)
        other = converse(running.stream, start(rate, adapts=True), samples.tobytes(), END)
        assert_same(other.estimates, replayed["stream"][1:-1], MOST)


def test_info_names_the_models_that_know_voices(voices):
    assert json.loads(get(f"{voices.http}/v1/info")[1])["knows_voices"] == ["test"]
