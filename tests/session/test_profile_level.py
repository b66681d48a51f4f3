"""A voice far from the level of its profile is told once; one at its level, never."""

from __future__ import annotations

import re

import numpy as np
import pytest
import soundfile

from streamer.recognition.recognizer import Recognizer
from streamer.session.profile_level import ProfileLevel
from tests.helpers.command import ser_live
from tests.helpers.networks import LEVELLESS

#: Times the sentences are said: ten seconds of speech and more.
TIMES = 6


@pytest.fixture(scope="module")
def known(shipped, speech):
    return shipped.enrol(np.tile(speech, 4))


def told(recognizer, profile, samples, block):
    """Return what is told of a stream that comes in blocks of so many samples."""
    stream, level = recognizer.stream(profile), ProfileLevel(profile, recognizer.metadata)
    lines = []
    for part in np.split(samples, range(block, len(samples), block)):
        stream.accept(part)
        lines.append(level.heard(stream))
    return [line for line in lines if line]


@pytest.mark.parametrize("block", [640, 16_000])
@pytest.mark.parametrize(
    ("gain_db", "expected"),
    [(-20, r"(19|20|21) dB softer"), (20, r"(19|20|21) dB louder"), (0, ""), (-12, "")],
)
def test_a_level_far_from_the_profiles_is_told_once(shipped, speech, gain_db, expected, block):
    quiet = 0.05 * np.tile(speech, TIMES)  # so that 20 dB more are within full scale
    profile = shipped.enrol(0.05 * np.tile(speech, 4))
    found = told(shipped, profile, np.float32(10 ** (gain_db / 20)) * quiet, block)
    assert len(found) == bool(expected)
    assert all(re.search(expected, line) for line in found)


def test_it_takes_ten_seconds_of_speech_and_a_profile(shipped, speech, known):
    assert not told(shipped, known, 0.05 * speech, 640)
    assert not told(shipped, None, 0.05 * np.tile(speech, TIMES), 640)


def test_a_model_that_hears_no_levels_tells_none(export_lively, speech):
    recognizer = Recognizer.load(export_lively(LEVELLESS).path)
    profile = recognizer.enrol(np.tile(speech, 4))
    assert not told(recognizer, profile, np.float32(0.05) * np.tile(speech, TIMES), 16_000)


def test_commands_tell_it_and_name_the_recording(speech, known, tmp_path):
    path, recording = tmp_path / "me.profile", tmp_path / "far.wav"
    known.save(path)
    soundfile.write(recording, np.float32(0.05) * np.tile(speech, TIMES), 16_000, "FLOAT")
    for command in (("replay", "--speed", "max", "--format", "jsonl"), ("score",)):
        said = ser_live(*command, recording, "--profile", path).stderr.decode().splitlines()
        [line] = [one for one in said if "softer than in its profile" in one]
        assert line.startswith("ser-live: ") and line.count(str(recording)) == 1, line
        assert re.search(r"the voice is 2[567] dB softer", line)
