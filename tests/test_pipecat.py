"""In a real Pipecat pipeline: frames pass unchanged, and frames with emotions are added."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import soxr

from tests.helpers.places import CLIPS, ROOT

pytest.importorskip("pipecat", reason="the extra pipecat is not installed")

from pipecat.frames.frames import (
    ErrorFrame,
    InputAudioRawFrame,
    TextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.tests.utils import SleepFrame, run_test

from streamer.errors import SerLiveError
from streamer.pipecat import EmotionFrame, EmotionProcessor, TurnEmotionFrame
from streamer.recognition.recognizer import Recognizer


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load()


def audio(clip, rate, channels=1):
    """Return a recording as a transport delivers it, in frames of 20 ms."""
    samples, own_rate = soundfile.read(clip, dtype="float32")
    resampled = np.clip(soxr.resample(samples, own_rate, rate), -1, 1)
    whole = np.repeat(np.round(resampled * 32_767).astype("<i2"), channels)
    size = rate // 50 * channels
    return [
        InputAudioRawFrame(whole[at : at + size].tobytes(), rate, channels)
        for at in range(0, len(whole), size)
    ]


def through(processor, frames):
    down, up = asyncio.run(run_test(processor, frames_to_send=frames, start_timeout=30.0))
    assert up == []
    return down


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (24_000, 1), (48_000, 2)])
def test_a_recording_is_analysed_at_any_rate(recognizer, rate, channels):
    sent = audio(CLIPS[0], rate, channels)
    down = through(EmotionProcessor(recognizer), [*sent, SleepFrame(sleep=1.0)])
    passed = [one for one in down if isinstance(one, InputAudioRawFrame)]
    assert [(id(one), one.audio) for one in passed] == [(id(one), one.audio) for one in sent]
    changes = [one for one in down if isinstance(one, EmotionFrame)]
    assert "angry" in [one.label for one in changes]
    assert all(a.label != b.label for a, b in pairwise(changes))
    assert all(one.latency_ms >= 0 for one in changes)
    [turn] = [one for one in down if isinstance(one, TurnEmotionFrame)]
    assert turn.overall == "angry"
    assert sum(turn.summary.values()) == pytest.approx(1.0)
    assert 0 <= turn.start_s < turn.end_s <= 2.2


def test_turns_are_those_of_the_pipeline(recognizer):
    frames = []
    for clip in (CLIPS[0], CLIPS[3]):
        frames += [UserStartedSpeakingFrame(), *audio(clip, 16_000), UserStoppedSpeakingFrame()]
        frames += [SleepFrame(sleep=1.0)]
    down = through(EmotionProcessor(recognizer), frames)
    turns = [one for one in down if isinstance(one, TurnEmotionFrame)]
    assert [one.overall for one in turns] == ["angry", "sad"]
    assert turns[0].end_s <= turns[1].start_s
    assert all(set(one.probabilities) == set(recognizer.metadata.labels) for one in turns)


def test_a_voice_known_from_before(recognizer):
    samples, rate = soundfile.read(CLIPS[3], dtype="float32")
    assert rate == 16_000
    # As the processor gets them: 16 bits, and one less at the loudest.
    heard = np.round(samples * 32_767).astype(np.float32) / np.float32(32_768)
    known = recognizer.enrol(np.concatenate([soundfile.read(c, dtype="float32")[0] for c in CLIPS]))
    by_voice = []
    for profile, adapts in ((known, False), (None, False)):
        stream = recognizer.stream(profile, adapts)
        estimates = stream.accept(heard) + stream.flush()
        expected = {one.time: one.probabilities.tolist() for one in estimates}
        processor = EmotionProcessor(recognizer, profile=profile, adapts=adapts)
        down = through(processor, [*audio(CLIPS[3], 16_000), SleepFrame(sleep=1.0)])
        frames = [one for one in down if isinstance(one, EmotionFrame)]
        assert frames
        for one in frames:
            assert [*one.probabilities.values()] == pytest.approx(expected[one.time_s], abs=1e-6)
        by_voice.append(expected)
    assert by_voice[0] != by_voice[1]
    with pytest.raises(SerLiveError, match="another version"):
        EmotionProcessor(recognizer, profile=replace(known, digest="0" * 64))


def test_other_frames_pass_unchanged(recognizer):
    sent = [TextFrame("hello"), SleepFrame(sleep=0.1), TextFrame("there")]
    down = through(EmotionProcessor(recognizer), sent)
    assert [one.text for one in down if isinstance(one, TextFrame)] == ["hello", "there"]
    assert not any(isinstance(one, EmotionFrame | TurnEmotionFrame) for one in down)


def test_frames_do_not_wait_for_the_analysis(recognizer):
    """The audio passes the processor before the analysis of it."""
    processor = EmotionProcessor(recognizer)
    heard_after = []
    estimates = processor._estimates
    release = asyncio.Event()

    async def main():
        loop = asyncio.get_running_loop()

        def slow(piece):
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
            return estimates(piece)

        processor._estimates = slow
        original = processor.push_frame

        async def push(frame, *rest):
            heard_after.append((type(frame), release.is_set()))
            await original(frame, *rest)
            if isinstance(frame, TextFrame):
                release.set()

        processor.push_frame = push
        frames = [*audio(CLIPS[0], 16_000), SleepFrame(sleep=0.2), TextFrame("after it")]
        await run_test(processor, frames_to_send=frames, start_timeout=30.0)

    asyncio.run(main())
    assert all(not is_released for kind, is_released in heard_after if kind is InputAudioRawFrame)
    assert any(kind is TurnEmotionFrame for kind, _ in heard_after)


def test_the_example_on_a_recording():
    result = subprocess.run(
        [sys.executable, "-m", "streamer.pipecat_example", CLIPS[0]],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert "the turn was" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"), [([], "name one recording"), (["no.wav"], "no.wav")]
)
def test_wrong_usage_of_the_example_is_one_line(arguments, words):
    command = [sys.executable, "-m", "streamer.pipecat_example", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert words in line


def test_a_failed_analysis_is_reported_and_starts_again(recognizer):
    processor = EmotionProcessor(recognizer)
    estimates = processor._estimates
    failures = [MemoryError("no memory is left")]

    def fragile(piece):
        if failures:
            raise failures.pop()
        return estimates(piece)

    processor._estimates = fragile
    sent = [*audio(CLIPS[0], 16_000), SleepFrame(sleep=1.0)]
    down, up = asyncio.run(run_test(processor, frames_to_send=sent, start_timeout=30.0))
    assert ["no memory is left" in one.error for one in up if isinstance(one, ErrorFrame)] == [True]
    [turn] = [one for one in down if isinstance(one, TurnEmotionFrame)]
    assert turn.overall == "angry"


def test_the_end_passes_even_if_the_analysis_is_dead(recognizer):
    processor = EmotionProcessor(recognizer)

    async def dead():
        raise OSError("dead")

    processor._hear = dead
    down = through(processor, [TextFrame("hello"), SleepFrame(sleep=0.1)])  # ends with an EndFrame
    assert [one.text for one in down if isinstance(one, TextFrame)] == ["hello"]


def test_a_machine_that_is_too_slow_skips_the_oldest_and_reports_it_once(recognizer, caplog):
    processor = EmotionProcessor(recognizer)
    for number in range(400):
        data = np.full(320, number, "<i2").tobytes()
        processor._take(InputAudioRawFrame(data, 16_000, 1))
    firsts = [np.frombuffer(one.data, "<i2")[0] for one in processor._waiting]
    assert firsts == list(range(150, 400))
    assert processor.left_out_s == pytest.approx(3.0)
    assert [one.message.endswith("audio is left out") for one in caplog.records] == [True]
