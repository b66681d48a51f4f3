"""Lines for people: what they say of an estimate."""

from __future__ import annotations

import io

import numpy as np
import pytest

from streamer.formats.lines import Changes, Plain
from streamer.recognition.estimate import Estimate
from streamer.session.events import Estimated
from tests.helpers.sessions import started

LABELS = ("angry", "sad")


def line_of(sink, label, probabilities, weighed):
    out = io.StringIO()
    writer = sink(out)
    writer.take(started(LABELS))
    averaged = None if weighed is None else np.float32(weighed)
    writer.take(
        Estimated(
            Estimate(1.0, label, np.float32(probabilities), 0.9, np.ones(1), None, averaged), 9
        )
    )
    return out.getvalue().splitlines()[-1]


@pytest.mark.parametrize("sink", [Plain, Changes])
def test_the_figure_beside_a_label_is_the_one_that_decided_it(sink):
    line = line_of(sink, "angry", (0.06, 0.94), (0.55, 0.45))
    assert "angry" in line
    assert "55%" in line
    assert "6%" not in line.replace("55%", "")


def test_without_an_emotion_the_likeliest_is_named():
    assert line_of(Plain, "uncertain", (0.9, 0.1), (0.4, 0.6)).split()[2:5] == [
        "uncertain", "sad", "60%",
    ]  # fmt: skip
    assert "angry  90%" in line_of(Plain, "warming up", (0.9, 0.1), None)
