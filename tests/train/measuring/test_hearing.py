"""What the runtime hears is judged as it was known at the time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from streamer.recognition.decision import Verdict
from streamer.signal import SAMPLE_RATE, SPEECH_THRESHOLD
from tests.helpers.generated import EMOTIONS
from train.measuring.hearing import decide_again, estimates_known, hear, hear_all, verdicts_of
from train.measuring.measures import answers


@pytest.mark.parametrize("after_s", [0.5, 1.0, 1.5])
def test_the_verdict_after_seconds_is_that_of_the_stream_so_far(shipped, speech, after_s):
    """The stream is cut at that time, not flushed, so the look-ahead counts."""
    samples = np.concatenate([np.zeros(8_000, np.float32), speech[:48_000]])
    heard = hear(shipped, samples)
    first = int((heard.speech >= SPEECH_THRESHOLD).argmax())
    stream = shipped.stream()
    estimates = stream.accept(samples[: first * 640 + round(after_s * SAMPLE_RATE)])
    metadata = shipped.metadata
    cut = Verdict(metadata.labels, metadata.window_timesteps, metadata.decision.speech_on)
    for estimate in estimates:
        cut.add(estimate.probabilities, estimate.speech)
    assert estimates_known(heard, shipped.metadata, after_s) == len(estimates)
    found = verdicts_of([heard], shipped.metadata, after_s).probabilities[0]
    np.testing.assert_allclose(found, cut.probabilities, rtol=0, atol=1e-6)
    whole = verdicts_of([heard], shipped.metadata).probabilities[0]
    assert np.abs(found - whole).max() > 1e-3


def test_without_a_terminal_lines_tell_how_far_the_work_is(capsys):
    with ThreadPoolExecutor(1) as pool:
        found = list(hear_all(pool, str, [1, 2], "cremad, pauses 3 s"))
    assert found == ["1", "2"]
    assert capsys.readouterr().err == (
        "train: 0 of 2 are heard: cremad, pauses 3 s\ntrain: 2 of 2 are heard: cremad, pauses 3 s\n"
    )


def test_after_the_end_all_estimates_are_known(shipped, speech):
    heard = hear(shipped, speech[:24_000])
    assert estimates_known(heard, shipped.metadata, 3.0) == 24_000 // 640


def test_without_speech_there_is_no_verdict_at_any_time(shipped):
    heard = hear(shipped, np.zeros(16_000, np.float32))
    assert answers(*_verdict(heard, shipped)).tolist() == [len(EMOTIONS)]
    assert answers(*_verdict(heard, shipped, 0.5)).tolist() == [len(EMOTIONS)]
    assert answers(*_verdict(hear(shipped, np.zeros(9, np.float32)), shipped)).tolist() == [4]


def _verdict(heard, recognizer, after_s=None):
    found = verdicts_of([heard], recognizer.metadata, after_s)
    return found.probabilities, found.has_verdict


def test_the_decision_can_be_repeated_on_stored_outputs(shipped, speech):
    heard = hear(shipped, speech)
    assert decide_again(heard, shipped.metadata).labels == heard.labels
    slow = replace(shipped.metadata.decision, smoothing_s=5.0)
    assert decide_again(heard, shipped.metadata, slow).labels != heard.labels
