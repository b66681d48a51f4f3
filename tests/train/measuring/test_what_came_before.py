"""Audio before an utterance does not change its label."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.signal import SAMPLE_RATE
from streamer.sound.files.recording import read_recording
from tests.helpers.places import CLIPS
from train.measuring.hearing import hear, votes_of
from train.measuring.sessions import faint_noise, own_timesteps

#: The probability of the label that a clip gets alone may fall by at most this much.
MARGIN = 0.25

SILENCE = np.zeros(3 * SAMPLE_RATE, np.float32)
#: Each clip follows a clip of another emotion.
BEFORE = dict(zip(CLIPS, [*CLIPS[1:], CLIPS[0]], strict=True))


def called(recognizer, before, clip):
    """Return label and probabilities of the verdict on a clip, from its own timesteps."""
    first, end = own_timesteps(len(before), len(before) + len(clip))
    heard = hear(recognizer, np.concatenate([before, clip]))
    votes = votes_of(heard, recognizer.metadata)[first:end]
    verdict = votes @ heard.probabilities[first:end].astype(np.float64) / votes.sum()
    return recognizer.metadata.labels[int(verdict.argmax())], verdict


@pytest.mark.parametrize("clip", CLIPS, ids=lambda path: path.stem)
@pytest.mark.parametrize("lead", ["silence", "faint noise", "another emotion"])
def test_audio_before_an_utterance_does_not_change_its_label(shipped, lead, clip):
    samples = read_recording(clip)
    before = {
        "silence": SILENCE,
        "faint noise": faint_noise(clip.stem)(len(SILENCE)),
        "another emotion": np.concatenate([read_recording(BEFORE[clip]), SILENCE]),
    }[lead]
    label, alone = called(shipped, SILENCE[:0], samples)
    in_stream, verdict = called(shipped, before, samples)
    which = shipped.metadata.labels.index(label)
    fall = alone[which] - verdict[which]
    assert in_stream == label, f"{label} alone ({alone.round(2)}), {in_stream} ({verdict.round(2)})"
    assert fall <= MARGIN, f"{label}: {alone[which]:.2f} alone, {verdict[which]:.2f} in the stream"
