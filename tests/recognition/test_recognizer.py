"""The streaming contract: torch offline == torch streaming == ONNX streaming, and causality."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.recognition.decision import Decision
from streamer.recognition.metadata import UNKNOWN_END
from streamer.recognition.network import StepNetwork
from streamer.recognition.opening import open_model
from streamer.recognition.recognizer import Recognizer
from streamer.signal import MANY_AT_ONCE, TIMESTEP_S
from tests.helpers.estimates import (
    TOLERANCE,
    block_sizes,
    probabilities,
    run,
    torch_probabilities,
)
from tests.helpers.networks import stream as stream_torch


@pytest.fixture(scope="module")
def recognizer(exported):
    return Recognizer.load(exported.path)


def decide(metadata, offline, estimates):
    """Return the decision layer's labels from torch's probabilities."""
    decision = Decision(metadata.labels, metadata.window_timesteps, metadata.decision)
    state, labels = decision.initial_state(), []
    for row, estimate in zip(offline, estimates, strict=True):
        label, state = decision.decide(row, estimate.speech, state)
        labels.append(label)
    return labels


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_three_ways_are_equal(exported, recognizer, speech, data):
    first = data.draw(st.integers(0, 60_000), label="first")
    length = data.draw(st.integers(0, 64_000), label="length")
    samples = speech[first : first + length]
    at_once = data.draw(st.sampled_from([1, 2, 7, MANY_AT_ONCE]), label="at once")
    estimates = run(recognizer, samples, data.draw(block_sizes, label="blocks"), at_once)
    assert len(estimates) == len(samples) // 640
    assert [e.label for e in estimates] == [e.label for e in run(recognizer, samples)]
    assert estimates == run(recognizer, samples, at_once=at_once)
    if not estimates:
        return
    offline = torch_probabilities(exported, samples)
    streamed = torch_probabilities(exported, samples, stream_torch)
    assert np.abs(probabilities(estimates) - offline).max() <= TOLERANCE
    assert np.abs(streamed - offline).max() <= TOLERANCE


def test_three_ways_are_equal_long_after_the_window_has_filled(exported, recognizer, speech):
    samples = speech[:140_000]  # 218 timesteps: twice the delay of `paper`
    estimates = run(recognizer, samples, [7_001] * 19)
    offline = torch_probabilities(exported, samples)
    assert np.abs(probabilities(estimates) - offline).max() <= TOLERANCE
    assert [e.label for e in estimates] == decide(exported.metadata, offline, estimates)


@pytest.mark.parametrize("at_once", [2, 25, MANY_AT_ONCE, 256])
def test_many_timesteps_at_once_are_the_same_to_rounding(shipped, speech, at_once):
    pause = np.zeros(48_000, np.float32)
    samples = np.concatenate([speech, pause, speech[:70_000], pause, speech[30_000:]])
    each, groups = run(shipped, samples), run(shipped, samples, [9_999] * 20, at_once)
    assert np.abs(probabilities(each) - probabilities(groups)).max() <= 1e-6
    assert [(e.time, e.label) for e in each] == [(e.time, e.label) for e in groups]
    for name in ("speech", "ordinary"):
        pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(each, groups, strict=True)]
        assert max(abs(a - b) for a, b in pairs) <= 1e-5


def test_estimates_of_many_timesteps_at_once_come_in_groups(shipped, speech):
    stream = shipped.stream(at_once=10)
    needed = 10 * 640 + 240  # with the tail of the last frame
    assert stream.accept(speech[: needed - 1]) == []
    delay = shipped.metadata.delay_timesteps
    assert len(stream.accept(speech[needed - 1 : needed])) == 10 - delay
    assert len(stream.accept(speech[needed : needed + 6_399])) == 0
    assert len(stream.flush()) == 10 + delay


def test_streams_with_one_and_many_timesteps_at_once_step_together(shipped, speech):
    ways = [1, MANY_AT_ONCE, 1, 5]
    streams = [shipped.stream(at_once=way) for way in ways]
    heard = [[] for _ in ways]
    for block in np.array_split(speech, 9):
        for got, estimates in zip(
            heard, shipped.accept_many(streams, [block] * len(ways)), strict=True
        ):
            got += estimates
    for way, stream, got in zip(ways, streams, heard, strict=True):
        got += stream.flush()
        alone = run(shipped, speech, at_once=way)
        assert np.abs(probabilities(got) - probabilities(alone)).max() <= 2e-6
        assert [e.label for e in got] == [e.label for e in alone]


@pytest.mark.parametrize("at_once", [0, -1, 257, 2.0, True])
def test_impossible_values_of_at_once_are_refused(shipped, at_once):
    with pytest.raises(ValueError, match=r"at_once must lie in 1\.\.256"):
        shipped.stream(at_once=at_once)


@pytest.mark.parametrize("length", [0, 1, 399, 400, 639, 640, 1280, 5_000])
def test_short_recordings_give_every_timestep_they_hold(recognizer, speech, length):
    assert len(run(recognizer, speech[:length])) == length // 640


@settings(max_examples=5, deadline=None)
@given(turns=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9_000)), max_size=30))
def test_interleaved_streams_do_not_hear_each_other(recognizer, speech, turns):
    inputs = [speech[first : first + 30_000] for first in (0, 17_000, 55_000)]
    streams = [recognizer.stream() for _ in inputs]
    estimates = [[] for _ in inputs]
    position = [0] * len(inputs)
    for which, size in [*turns, (0, 30_000), (1, 30_000), (2, 30_000)]:
        block = inputs[which][position[which] : position[which] + size]
        estimates[which] += streams[which].accept(block)
        position[which] += size
    for stream, got, samples in zip(streams, estimates, inputs, strict=True):
        got += stream.flush()
        alone = run(recognizer, samples)
        np.testing.assert_array_equal(probabilities(got), probabilities(alone))
        assert [e.label for e in got] == [e.label for e in alone]


@settings(max_examples=8, deadline=None)
@given(timestep=st.integers(0, 30), gap=st.integers(0, 3_000))
def test_look_ahead_is_never_exceeded(recognizer, speech, timestep, gap):
    ahead = recognizer.metadata.look_ahead_samples
    at = (timestep + 1) * 640 + ahead + gap
    samples = speech[: at + 20_000]
    assert at < len(samples)
    changed = samples.copy()
    changed[at:] = np.random.default_rng(at).uniform(-1, 1, len(samples) - at)
    before, after = run(recognizer, samples), run(recognizer, changed)
    sure = slice(0, timestep + 1)
    np.testing.assert_array_equal(probabilities(before[sure]), probabilities(after[sure]))
    assert [(e.label, e.speech) for e in before[sure]] == [(e.label, e.speech) for e in after[sure]]
    assert (probabilities(before) != probabilities(after)).any()


def test_look_ahead_is_used_to_its_last_sample(recognizer, speech):
    ahead = recognizer.metadata.look_ahead_samples
    samples = np.tile(speech, 2)[: 130 * 640]
    timestep = 15
    changed = samples.copy()
    # The window weighs the last sample of a frame with 6e-5: only a great change has an effect.
    changed[(timestep + 1) * 640 + ahead - 1] = 100_000.0
    before, after = run(recognizer, samples), run(recognizer, changed)
    assert (before[timestep].probabilities != after[timestep].probabilities).any()
    np.testing.assert_array_equal(probabilities(before[:timestep]), probabilities(after[:timestep]))


def test_a_batch_of_streams_equals_each_alone(exported):
    generator = np.random.default_rng(5)
    frames = generator.random((30, 3, 4, 201), dtype=np.float32)
    network = StepNetwork(*open_model(exported.path))
    together = [network.initial_state() for _ in range(3)]
    alone = [network.initial_state() for _ in range(3)]
    for step in frames:
        step = step[:, None]
        batch, _, likely, together = network.step(step, UNKNOWN_END, together)
        assert (likely is not None) == exported.network.config.ordinary
        for row in range(3):
            one, _, own, [alone[row]] = network.step(step[row : row + 1], UNKNOWN_END, [alone[row]])
            assert np.abs(one[0] - batch[row]).max() <= TOLERANCE
            if likely is not None:
                assert np.abs(own[0] - likely[row]).max() <= TOLERANCE


def test_times_are_the_ends_of_the_timesteps(shipped, speech):
    times = [estimate.time for estimate in run(shipped, speech)]
    np.testing.assert_allclose(times, TIMESTEP_S * (1 + np.arange(len(speech) // 640)))


def test_state_does_not_grow(shipped, speech):
    def size(state):
        network = sum(tensor.nbytes for tensor in state.network.batch.inputs.values())
        assert state.decision.heard.bit_length() <= shipped.metadata.window_timesteps
        return network + state.spectra.pending.nbytes + len(state.speech)

    stream = shipped.stream()
    stream.accept(speech[: 640 * 20])
    early = size(stream.state)
    for _ in range(5):
        stream.accept(speech[: 640 * 100])
    assert size(stream.state) == early


def test_a_stream_ends_once_and_starts_again(shipped, speech):
    stream = shipped.stream()
    first = stream.accept(speech[:20_000]) + stream.flush()
    with pytest.raises(RuntimeError, match="reset"):
        stream.accept(speech)
    with pytest.raises(RuntimeError, match="reset"):
        stream.flush()
    stream.reset()
    again = stream.accept(speech[:20_000]) + stream.flush()
    np.testing.assert_array_equal(probabilities(first), probabilities(again))


@pytest.mark.parametrize(
    ("samples", "advice"),
    [
        (np.zeros((10, 2), np.float32), r"are float32 \(10, 2\); samples.mean\(axis=1\) mixes"),
        (np.zeros(10), r"are float64 \(10,\); samples.astype\(np.float32\) converts them"),
        (np.zeros(10, np.int16), r"are int16 \(10,\); samples.astype\(np.float32\) / 32768 conv"),
        ([0.0] * 10, r"are list; np.asarray\(samples, np.float32\) makes one"),
        ([[0.0], [0.0, 1.0]], "are list"),
        (b"abcd", "are bytes$"),
        (None, "are NoneType$"),
    ],
)
def test_a_stream_takes_a_float32_vector_only(shipped, samples, advice):
    with pytest.raises(ValueError, match=f"must be a float32 vector, mono .*, {advice}"):
        shipped.stream().accept(samples)
    with pytest.raises(ValueError, match="stream 0: samples must be a float32 vector"):
        shipped.accept_many([shipped.stream()], [samples])


def test_a_float32_vector_need_not_be_numpys(shipped, speech):
    samples = array("f", speech[:16_000])
    expected = shipped.stream().accept(speech[:16_000])
    assert shipped.stream().accept(samples) == expected
    assert shipped.accept_many([shipped.stream()], [samples]) == [expected]


def test_other_wrong_arguments_are_named(shipped):
    with pytest.raises(
        ValueError, match=r"a Profile, which Profile\.load\(path\) reads .*; is str"
    ):
        shipped.stream("x.profile")
    with pytest.raises(ValueError, match="samples must be an array or blocks of them, are None"):
        shipped.enrol(None)
    with pytest.raises(ValueError, match="1 streams need as many blocks, there are 0"):
        shipped.accept_many([shipped.stream()], [])


def test_what_a_person_prints_fits_a_screen(shipped, speech):
    assert repr(shipped.metadata).startswith("ModelMetadata(name='voice-1', labels=('angry',")
    assert len(repr(shipped.metadata)) < 700
    (first, *_) = shipped.stream().accept(speech[:20_000])
    assert len(repr(first)) < 400


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_input_that_is_not_audio_leaves_the_stream_unchanged(shipped, speech, value):
    stream = shipped.stream()
    estimates = stream.accept(speech[:20_000])
    with pytest.raises(ValueError, match="finite"):
        stream.accept(np.full(1_000, value, np.float32))
    estimates += stream.accept(speech[20_000:40_000]) + stream.flush()
    np.testing.assert_array_equal(
        probabilities(estimates), probabilities(run(shipped, speech[:40_000]))
    )


def test_estimates_can_be_compared_and_kept_in_sets(shipped, speech):
    one, other = shipped.stream(), shipped.stream()
    ours, theirs = one.accept(speech[:32_000]), other.accept(speech[:32_000])
    assert ours == theirs
    assert len({*ours, *theirs}) == len(ours)
    assert ours[0] != ours[1]
    assert ours[0] != "an estimate"
