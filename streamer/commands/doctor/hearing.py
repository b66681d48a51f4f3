"""Looks at the model, its speed on this machine, and whether it hears what it should."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from streamer.bundled import bundled
from streamer.commands.demo.parts import DEMO_PARTS, DEMO_SHOWN
from streamer.commands.doctor.findings import Section
from streamer.commands.latency.stopped import measure_stopped, read_timesteps
from streamer.commands.latency.stopwatch import TimedRecognizer
from streamer.errors import SerLiveError
from streamer.modelfile.identity import SHOWN_DIGITS
from streamer.modelfile.shipped import model_path
from streamer.recognition.estimate import Estimate
from streamer.recognition.recognizer import Float32, Recognizer
from streamer.signal import TIMESTEP_S
from streamer.sound.files.recording import read_recording

DEMO = "demo.flac"
#: Largest difference in probability that float rounding makes.
TOLERANCE = 1e-5

_MEASURED_S = 10.0
#: A step that takes more of its 40 ms leaves too little for everything else.
_BUSY_SHARE = 0.5
_LONGEST_BLOCK = 8_000
_SEED = 0


def check_model(section: Section, model: Path | None) -> None:
    """Load the model, describe it, and measure a step.

    Raises:
        SerLiveError: it, or the demo, cannot be read.
    """
    section.facts["file"] = str(model_path(model))
    try:
        recognizer = TimedRecognizer.load(model)
    except SerLiveError as error:
        advice = "install ser-live again" if model is None else "ser-live doctor tries the default"
        raise SerLiveError(f"{error}; {advice}") from error
    known = recognizer.metadata
    section.facts["name"] = known.name
    section.facts["sha256"] = recognizer.digest[:SHOWN_DIGITS]
    section.facts["labels"] = ", ".join(known.labels)
    section.facts["look_ahead_ms"] = known.look_ahead_ms
    section.facts["knows_voices"] = known.knows_voices
    timesteps = read_timesteps(bundled(DEMO), _MEASURED_S)
    step = measure_stopped(recognizer, timesteps, _MEASURED_S).parts["whole step"]
    section.facts["step_ms_p50"] = round(step.p50, 3)
    section.facts["step_ms_p95"] = round(step.p95, 3)
    step_s = 0.001 * step.p95
    if step_s > _BUSY_SHARE * TIMESTEP_S:
        section.add_problem(
            f"a step takes {1000 * step_s:.1f} ms, and one is due every {1000 * TIMESTEP_S:g} ms: "
            "close other programs, or expect gaps",
            is_broken=False,
        )


def check_streaming(section: Section, model: Path | None) -> None:
    """Hear the demo in random blocks and at once, and compare.

    Raises:
        SerLiveError: the model or the demo cannot be read.
    """
    recognizer = Recognizer.load(model)
    samples = read_recording(bundled(DEMO))
    at_once, in_blocks = _heard(recognizer, [samples]), _heard(recognizer, _random_blocks(samples))
    section.facts["estimates_at_once"] = len(at_once)
    section.facts["estimates_in_random_blocks"] = len(in_blocks)
    difference = max(
        (
            float(np.abs(one.probabilities - other.probabilities).max())
            for one, other in zip(at_once, in_blocks, strict=False)
        ),
        default=0.0,
    )
    section.facts["largest_difference"] = difference
    same = [one.label for one in at_once] == [one.label for one in in_blocks]
    section.facts["labels_are_equal"] = same
    if not at_once or not same or not difference <= TOLERANCE:
        section.add_problem(
            "a stream does not give what the whole recording gives: please report this, with the "
            "processor and the version of onnxruntime"
        )
    if model is None:
        _check_labels(section, at_once)


def _check_labels(section: Section, estimates: list[Estimate]) -> None:
    """Compare what is mostly shown in each part of the demo with what this model shows there."""
    shown = ", ".join(shown_in_parts(estimates))
    acted = ", ".join(emotion for _, emotion in DEMO_PARTS)
    section.facts["acted"], section.facts["shown"] = acted, shown
    if shown != ", ".join(DEMO_SHOWN):
        section.add_problem(
            "the labels of the demo are not those that this model gives elsewhere: install "
            "ser-live and onnxruntime again, and report this if it stays"
        )


def shown_in_parts(estimates: list[Estimate]) -> list[str]:
    """Return the emotion that is shown longest in each part of the demo."""
    emotions = {emotion for _, emotion in DEMO_PARTS}
    ends = [*(begin for begin, _ in DEMO_PARTS[1:]), float("inf")]
    shown = []
    for (begin, _), end in zip(DEMO_PARTS, ends, strict=True):
        labels = Counter(
            one.label for one in estimates if begin < one.time <= end and one.label in emotions
        )
        shown.append(labels.most_common(1)[0][0] if labels else "none")
    return shown


def _random_blocks(samples: Float32) -> list[Float32]:
    """Divide samples into blocks from a single sample to half a second."""
    generator = np.random.default_rng(_SEED)
    ends = np.cumsum(generator.integers(1, _LONGEST_BLOCK, size=len(samples)))
    return np.split(samples, ends[ends < len(samples)])


def _heard(recognizer: Recognizer, blocks: list[Float32]) -> list[Estimate]:
    stream = recognizer.stream()
    estimates = [estimate for block in blocks for estimate in stream.accept(block)]
    return estimates + stream.flush()
