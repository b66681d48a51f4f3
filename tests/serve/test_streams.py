"""A stream at the server is what replay makes of the same recording, whoever else is there."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import asyncio
import json

import numpy as np
import pytest
import soundfile
import soxr

from streamer.recognition.recognizer import Recognizer
from streamer.serve.config import ServerConfig
from tests.helpers.command import lines, replay
from tests.helpers.places import CLIPS
from tests.serve.serving import END, InThread, assert_same, converse, cut, get, pcm, start, talk

CLIENTS = (20, pytest.param(200, marks=pytest.mark.long))


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem)
def test_a_recording_is_heard_as_replay_hears_it(server, replayed, clip):
    samples, rate = pcm(clip)
    blocks = cut(samples.tobytes(), np.random.default_rng(1))
    heard = converse(server.stream, start(rate, source=clip.name), *blocks, END)
    assert (heard.code, heard.reason) == (1000, "the stream was ended")
    expected = replayed[clip]
    assert_same(heard.estimates, expected[1:-1])
    head, last = heard.messages[0], heard.messages[-1]
    assert {**head, "started": ""} == {**expected[0], "started": "", "source": clip.name}
    assert {key: last[key] for key in ("type", "duration", "estimates", "summary", "overall")} == {
        key: expected[-1][key] for key in ("type", "duration", "estimates", "summary", "overall")
    }
    assert last["probabilities"] == pytest.approx(expected[-1]["probabilities"], abs=2e-6)


@pytest.mark.parametrize("clients", CLIENTS)
def test_many_clients_at_once_are_each_as_if_alone(serve_with, replayed, clients):
    server = serve_with({"streams": clients + 5})

    async def client(number):
        generator = np.random.default_rng(number)
        clip = CLIPS[number % len(CLIPS)]
        samples, rate = pcm(clip)
        messages = [start(rate)]
        for block in cut(samples.tobytes(), generator):
            messages += [float(generator.random() * 0.02), block]
        await asyncio.sleep(generator.random())
        return clip, await talk(server.stream, [*messages, END])

    async def all_of_them():
        leaving = [asyncio.create_task(client(1000 + number)) for number in range(5)]
        staying = [asyncio.create_task(client(number)) for number in range(clients)]
        for task in leaving:  # these go in the middle of it
            await asyncio.sleep(0.2)
            task.cancel()
        return await asyncio.gather(*staying)

    for clip, heard in asyncio.run(all_of_them()):
        assert heard.code == 1000
        assert_same(heard.estimates, replayed[clip][1:-1])


@pytest.mark.parametrize(
    ("rate", "sample_format"), [(8_000, "mulaw"), (44_100, "s16le"), (48_000, "f32le")]
)
def test_any_rate_and_format(server, tmp_path, speech, rate, sample_format):
    samples = soxr.resample(speech, 16_000, rate).astype(np.float32)
    path = tmp_path / "speech.wav"
    subtype = {"mulaw": "ULAW", "s16le": "PCM_16", "f32le": "FLOAT"}[sample_format]
    soundfile.write(path, np.clip(samples, -1, 1), rate, subtype=subtype)
    raw = tmp_path / "speech.raw"
    data, _ = soundfile.read(path, dtype="float32")
    soundfile.write(raw, data, rate, subtype=subtype, format="RAW", endian="LITTLE")
    blocks = cut(raw.read_bytes(), np.random.default_rng(2))
    heard = converse(server.stream, start(rate, sample_format=sample_format), *blocks, END)
    assert_same(heard.estimates, lines(replay(path))[1:-1])


@pytest.mark.parametrize("wanted", ["mix", "split", 2])
def test_channels_are_heard_as_replay_hears_them(server, tmp_path, speech, wanted):
    stereo = np.stack([speech, np.roll(speech, 30_000)], axis=1)
    path = tmp_path / "two.wav"
    soundfile.write(path, stereo, 16_000, subtype="PCM_16")
    expected = lines(replay(path, "--channels", wanted))
    samples, rate = pcm(path)
    blocks = cut(samples.tobytes(), np.random.default_rng(3))
    heard = converse(server.stream, start(rate, channels=2, channels_wanted=wanted), *blocks, END)
    for channel in {one.get("channel") for one in expected}:
        own, theirs = (
            [one for one in many if one["type"] == "estimate" and one.get("channel") == channel]
            for many in (heard.messages, expected)
        )
        assert_same(own, theirs)
    assert [one["type"] for one in heard.messages].count("end") == (2 if wanted == "split" else 1)


def test_what_is_odd_about_the_channels_is_said(server, speech):
    turned = np.stack([speech, -speech], axis=1)
    data = (32_767 * np.clip(turned, -1, 1)).astype("<i2").tobytes()
    heard = converse(server.stream, start(channels=2), data, END)
    [note] = [one["message"] for one in heard.messages if one["type"] == "note"]
    assert "cancel each other" in note


def test_two_clients_may_have_two_priors(server):
    samples, rate = pcm(CLIPS[0])
    expected = lines(replay(CLIPS[0], "--prior", "everyday"))
    heard = converse(server.stream, start(rate, prior="everyday"), samples.tobytes(), END)
    assert heard.messages[0]["prior"] == "everyday"
    assert_same(heard.estimates, expected[1:-1])


def test_the_start_may_stand_in_the_address(server, replayed):
    samples, rate = pcm(CLIPS[0])
    address = f"{server.stream}?sample_rate={rate}&sample_format=s16le&source=2026"
    heard = converse(address, samples.tobytes(), END)
    assert heard.messages[0]["source"] == "2026"
    assert_same(heard.estimates, replayed[CLIPS[0]][1:-1])
    assert "is 'fast'" in converse(f"{server.stream}?sample_rate=fast").reason
    assert "no field" in converse(f"{server.stream}?sample_rate={rate}&mode=1").reason


def test_two_clients_may_have_two_models(shipped):
    research = Recognizer.load("research")
    samples, rate = pcm(CLIPS[0])
    with InThread(ServerConfig(port=0), shipped, research) as server:
        info = json.loads(get(f"{server.http}/v1/info")[1])
        first, second = info["models"]
        assert (first, second) == (shipped.metadata.name, research.metadata.name)
        for model, option in ((first, []), (second, ["--model", "research"])):
            expected = lines(replay(CLIPS[0], *option))
            heard = converse(server.stream, start(rate, model=model), samples.tobytes(), END)
            assert heard.messages[0]["model"] == model
            assert_same(heard.estimates, expected[1:-1])
        heard = converse(server.stream, start(rate, model="none"))
        assert heard.reason == f"start: there is no model 'none'; there are {first}, {second}"


def test_a_stream_without_audio_has_a_verdict_too(server):
    heard = converse(server.stream, start(), END)
    assert [one["type"] for one in heard.messages] == ["session", "end"]
    assert heard.messages[-1]["overall"] == "silence"
    assert heard.code == 1000


def test_estimates_come_while_the_audio_does_and_say_how_late(server, speech):
    data = (32_767 * speech[:32_000]).astype("<i2").tobytes()
    heard = converse(server.stream, start(), data, 1.0, END)
    latencies = [one["latency_ms"] for one in heard.estimates]
    assert all(latency is not None and latency >= 0 for latency in latencies)
    # The pause before the end is in the last few alone: the others went out before it.
    assert latencies[-1] - latencies[0] > 500


def test_a_burst_is_held_up_not_kept(serve_with, speech):
    """A minute of audio at once: little of it waits in the server, all of it is heard."""
    server = serve_with({"backlog_s": 0.5})
    data = (32_767 * np.tile(speech, 4)).astype("<i2").tobytes()
    messages = [data[at : at + 3_200] for at in range(0, len(data), 3_200)]
    most = []

    async def watched():
        talking = asyncio.create_task(talk(server.stream, [start(), *messages, END]))
        while not talking.done():
            most.append((await asyncio.to_thread(server.figures))["backlog_seconds"])
            await asyncio.sleep(0.05)
        return await talking

    heard = asyncio.run(watched())
    assert heard.code == 1000
    assert heard.messages[-1]["duration"] == pytest.approx(len(data) / 32_000)
    assert max(most) <= 0.5 + 0.1 + 1e-6


def test_metrics_count_what_was_heard(serve_with, speech):
    server = serve_with()
    data = (32_767 * speech[:16_000]).astype("<i2").tobytes()
    heard = converse(server.stream, start(), data, END)
    figures = server.figures()
    assert figures["audio_bytes_total"] == len(data)
    assert figures["audio_seconds_total"] == 1.0
    assert figures["streams"] == figures["backlog_seconds"] == 0
    assert figures["streams_started_total"] == figures['streams_ended_total{code="1000"}'] == 1
    assert figures["messages_sent_total"] == len(heard.messages)
    # The last ones come of the flush, which is no step.
    assert 0 < figures["estimates_total"] <= len(heard.estimates)
    assert figures["step_seconds_count"] > 0


def test_health_and_info(server, shipped):
    assert get(f"{server.http}/healthz") == (200, "ok\n")
    status, text = get(f"{server.http}/v1/info")
    info = json.loads(text)
    assert status == 200
    assert tuple(info["labels"]) == shipped.metadata.labels
    letters = [look["letter"] for look in info["looks"]]
    assert len(set(letters)) == len(letters)
