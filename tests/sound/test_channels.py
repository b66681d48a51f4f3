"""Several channels: their mean, unless that would be wrong."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from streamer.errors import SerLiveError
from streamer.sound.channels import Channels, Mixer
from streamer.sound.files.recording import Recording
from streamer.sound.pcm import RawPcm

RATE = 16_000


def mixed(frames, *, wanted="mix", block=1_600):
    """Return the mix of frames, and the notices."""
    said = []
    mixer = Mixer(frames.shape[1], RATE, Channels.parse(wanted), said.append)
    parts = [mixer.accept(frames[first : first + block]) for first in range(0, len(frames), block)]
    return np.concatenate(parts), said


def level_db(samples, reference):
    return 20 * np.log10(np.std(samples) / np.std(reference))


@pytest.fixture
def voice(speech):
    return speech[: 6 * RATE]


def test_one_channel_and_equal_ones_are_heard_as_they_are(voice):
    for channels in (1, 2, 6):
        samples, said = mixed(np.stack([voice] * channels, axis=1))
        np.testing.assert_allclose(samples, voice, atol=1e-7)
        assert not said


def test_unrelated_channels_are_averaged(speech):
    frames = np.stack([speech[: 6 * RATE], np.roll(speech, 40_000)[: 6 * RATE]], axis=1)
    samples, _ = mixed(frames)
    np.testing.assert_allclose(samples, frames.mean(axis=1), atol=1e-7)


def test_if_channels_cancel_each_other_the_louder_is_heard(voice):
    samples, said = mixed(np.stack([0.8 * voice, -voice], axis=1))
    assert level_db(samples[2 * RATE :], voice[2 * RATE :]) == pytest.approx(0, abs=0.1)
    assert said == [
        "the 2 channels cancel each other, as where one is turned over: channel 2 is heard alone"
    ]


def test_after_a_while_of_opposite_phase_channels_are_mixed_again(voice):
    turned = np.stack([voice, -voice], axis=1)
    right = np.stack([voice, voice], axis=1)
    samples, said = mixed(np.concatenate([turned, right, right, right]))
    assert len(said) == 1
    np.testing.assert_allclose(samples[-RATE:], voice[-RATE:], atol=1e-7)


def test_a_dead_channel_is_left_out_and_reported(voice):
    frames = np.stack([voice, np.zeros_like(voice)], axis=1)
    samples, said = mixed(frames)
    assert level_db(samples[3 * RATE :], voice[3 * RATE :]) == pytest.approx(0, abs=0.1)
    assert said == ["channel 2 is dead (2 in all): channel 1 is heard"]
    frames = np.stack([voice, np.zeros_like(voice), voice], axis=1)
    samples, said = mixed(frames)
    np.testing.assert_allclose(samples[3 * RATE :], voice[3 * RATE :], atol=1e-6)
    assert said == ["channel 2 is dead (3 in all): channels 1 and 3 are heard"]


def test_silence_on_all_channels_decides_nothing():
    frames = np.stack([np.zeros(6 * RATE, np.float32)] * 2, axis=1)
    assert not mixed(frames)[1]
    hiss = np.random.default_rng(0).normal(0, 1e-5, (6 * RATE, 2)).astype(np.float32)
    hiss[:, 1] = -hiss[:, 0]
    assert not mixed(hiss)[1]


def test_two_people_on_two_channels_are_noticed_once(voice):
    quiet = np.zeros_like(voice)
    turns = np.concatenate(
        [np.stack(pair, axis=1) for pair in [(voice, quiet), (quiet, voice)] * 3]
    )
    said = mixed(turns)[1]
    assert [line for line in said if "as if a person spoke on each" in line] == said[-1:]
    assert not mixed(turns, wanted="split")[1]


def test_a_single_channel_or_each_channel_separately(voice):
    frames = np.stack([voice, np.roll(voice, 99)], axis=1)
    np.testing.assert_array_equal(mixed(frames, wanted="2")[0], frames[:, 1])
    np.testing.assert_array_equal(mixed(frames, wanted="split")[0], frames)
    with pytest.raises(SerLiveError, match="no channel 3: there are 2 channels"):
        mixed(frames, wanted="3")
    for wrong in ("0", "65", "left", "", "1,2"):
        with pytest.raises(SerLiveError, match="--channels must be mix, split or a channel's"):
            Channels.parse(wrong)


def test_the_mix_does_not_depend_on_the_blocks(voice):
    turned = np.stack([voice, -voice], axis=1)
    frames = np.concatenate([turned, np.abs(turned), turned])
    whole = mixed(frames, block=len(frames))
    for block in (7, 97, 16_001):
        samples, said = mixed(frames, block=block)
        np.testing.assert_array_equal(samples, whole[0])
        assert said == whole[1]


def test_channels_of_a_file_are_known_from_its_start(tmp_path, voice):
    path = tmp_path / "turned.wav"
    soundfile.write(path, np.stack([voice, -voice], axis=1), RATE, subtype="FLOAT")
    said = []
    with Recording(path, say=said.append) as recording:
        samples = np.concatenate(list(recording.blocks(100)))
    np.testing.assert_allclose(samples, voice, atol=1e-7)
    assert len(said) == 1
    assert said[0].startswith(f"{path}: the 2 channels cancel each other")


def test_samples_that_are_not_audio_decide_nothing_about_channels(tmp_path, voice, recwarn):
    path = tmp_path / "infinite.wav"
    frames = np.stack([voice, voice], axis=1)
    frames[5 * RATE, 1] = np.inf
    soundfile.write(path, frames, RATE, subtype="FLOAT")
    with Recording(path) as recording, pytest.raises(SerLiveError, match=r"at 5\.000 s is NaN"):
        list(recording.blocks(100))
    assert not recwarn.list


def test_a_pipe_whose_channels_cancel_is_heard_and_reported(voice):
    data = np.stack([voice, -voice], axis=1).astype("<f4").tobytes()
    said = []
    source = RawPcm(io.BytesIO(data), RATE, 2, "f32le", say=said.append)
    samples = np.concatenate(list(source.blocks(10)))
    assert level_db(samples[2 * RATE :], voice[2 * RATE :]) == pytest.approx(0, abs=0.1)
    assert said[0].startswith("standard input: the 2 channels cancel each other")
    chosen = RawPcm(io.BytesIO(data), RATE, 2, "f32le", wanted=Channels(2))
    np.testing.assert_array_equal(np.concatenate(list(chosen.blocks(10))), -voice)


def test_channels_that_begin_to_cancel_are_heard_again_within_a_moment(voice):
    """Even if they were in phase for a long time before."""
    frames = np.stack([voice, voice], axis=1)
    turned = 0.1 * np.stack([voice, -voice], axis=1)
    samples, said = mixed(np.concatenate([frames, frames, turned]))
    lost = np.flatnonzero(np.abs(samples[12 * RATE :]) > 1e-6)[0] / RATE
    assert lost <= 1.0
    assert "cancel each other" in said[0]


def test_one_channel_can_be_split(voice):
    frames = voice[:, None]
    samples, said = mixed(frames, wanted="split")
    np.testing.assert_array_equal(samples, frames)
    assert not said
